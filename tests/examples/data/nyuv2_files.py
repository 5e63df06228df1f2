"""A few small pictures in a file of MATLAB's format 7.3 as NYU Depth v2 has them, and the files beside it."""

from pathlib import Path

import h5py
import numpy as np
import scipy.io

NAMES = ("wall", "floor", "chair", "cup", "lamp", "book")
FORTY = tuple(f"class {number}" for number in range(1, 41))
THIRTEEN = tuple(f"group {number}" for number in range(1, 14))
TO_FORTY = [1, 2, 5, 40, 0, 40]  # the lamp belongs to none
TO_THIRTEEN = [(number * 3) % 13 + 1 for number in range(40)]
SCENES = [f"kitchen_{number // 2:04d}" for number in range(8)] + ["office_0001"] * 4
COUNT, HEIGHT, WIDTH = 12, 24, 32


def pictures() -> dict[str, np.ndarray]:
    """Draw pictures as they are seen: (pictures, height, width)."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    color = np.stack([rows * 10, columns * 7, np.full_like(rows, 3)], axis=0)
    labels = np.where(columns < WIDTH // 2, 1, 2) * np.ones((COUNT, 1, 1), dtype=int)
    labels[:, :6, :4] = random.integers(3, 7, (COUNT, 1, 1))
    labels[:, -4:, -4:] = 0
    return {
        "images": np.stack([color + number for number in range(COUNT)]).astype("uint8"),
        "depths": (1 + rows / 10 + np.arange(COUNT)[:, None, None]).astype("float32"),
        "labels": labels.astype("uint16"),
    }


def write_cells(file: h5py.File, name: str, texts: tuple[str, ...] | list[str]) -> None:
    cells = file.create_dataset(name, (1, len(texts)), dtype=h5py.ref_dtype)
    cells.attrs["MATLAB_class"] = np.bytes_("cell")
    for number, text in enumerate(texts):
        codes = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")[:, None]
        entry = file.create_dataset(f"#refs#/{name} {number}", data=codes if text else np.zeros(2, "uint64"))
        entry.attrs["MATLAB_class"] = np.bytes_("char")
        if not text:
            entry.attrs["MATLAB_empty"] = np.uint8(1)
        cells[0, number] = entry.ref


def write_data(root: Path, **changes: np.ndarray) -> Path:
    root.mkdir(exist_ok=True)
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (pictures() | changes).items():
            turned = values.swapaxes(-1, -2)
            file.create_dataset(name, data=turned, compression="gzip", chunks=(1, *turned.shape[1:]))
        write_cells(file, "names", NAMES)
        write_cells(file, "scenes", SCENES)
        write_cells(file, "sceneTypes", [scene.split("_")[0] for scene in SCENES])
    with path.open("r+b") as stream:
        words = (
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
        )
        stream.write(words.ljust(124) + b"\x00\x02IM")
    return path


def write_splits(root: Path, train: list[int], test: list[int]) -> None:
    numbers = {"trainNdxs": np.array(train)[:, None], "testNdxs": np.array(test)[:, None]}
    scipy.io.savemat(root / "splits.mat", {name: values.astype("uint16") for name, values in numbers.items()})


def cells(texts: tuple[str, ...]) -> np.ndarray:
    values = np.empty((1, len(texts)), dtype=object)
    values[0] = texts
    return values


def write_mappings(root: Path, forty: list[int], thirteen: list[int]) -> None:
    both = {"className": cells(FORTY), "allClassName": cells(NAMES), "mapClass": np.array([forty], "uint8")}
    scipy.io.savemat(root / "classMapping40.mat", both)
    struct = {"labels13": np.array([thirteen], dtype="uint8"), "classNames": cells(THIRTEEN)}
    scipy.io.savemat(root / "class13Mapping.mat", {"classMapping13": struct})
