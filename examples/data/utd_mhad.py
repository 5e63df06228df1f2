"""UTD-MHAD: 861 clips of 27 actions by 8 people, as depth video and skeleton. Bring the file yourself."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from examples.data.arrays import read_arrays
from examples.data.contract import MultimodalData, split_and_standardise

FILE = "utd_mhad.npz"
SOURCE = (
    "Data: UTD-MHAD, C. Chen, R. Jafari, N. Kehtarnavaz, ICIP 2015, "
    "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html: 16 evenly spaced depth frames of each clip, the "
    "20 joints at 48 moments in metres, action 0-26, subject 1-8. Name its folder with --root."
)
_ARRAYS = {"depth": (None, 16, 56, 56), "skeleton": (None, 48, 20, 3), "action": (None,), "subject": (None,)}
_ACTIONS = 27
_SIZE = 32


def load_utd_mhad(root: Path | None = None, *, seed: int = 0) -> MultimodalData:
    """Return depth and skeleton as images: train on subjects 1, 3, 5, 7, test on 2, 4, 6, 8.

    Depth keeps its 16 frames as channels. The skeleton's channels are x, y and z, its height is time and its
    width the joints. Both are resized to 32 x 32.

    Args:
        root: Folder of ``utd_mhad.npz``, or the file.
        seed: Not used, the protocol fixes the split.
    """
    del seed
    folder = Path() if root is None else root
    path = folder if folder.is_file() else folder / FILE
    arrays = read_arrays(path, _ARRAYS, source=SOURCE)
    depth = torch.as_tensor(arrays["depth"].astype("float32"))
    skeleton = torch.as_tensor(arrays["skeleton"].astype("float32")).permute(0, 3, 1, 2)
    action = torch.as_tensor(arrays["action"].astype("int64"))
    subject = torch.as_tensor(arrays["subject"].astype("int64"))
    if int(action.min()) < 0 or int(action.max()) >= _ACTIONS:
        raise ValueError(f"'{path}': array `action` must hold 0 to {_ACTIONS - 1}. {SOURCE}")
    odd = subject % 2 == 1
    if odd.all() or not odd.any():
        raise ValueError(f"'{path}': array `subject` must hold odd and even numbers, 1 to 8. {SOURCE}")
    return split_and_standardise(
        "utd-mhad",
        {"depth": _resize(depth), "skeleton": _resize(skeleton)},
        action,
        kinds={"depth": "image", "skeleton": "image"},
        classes=tuple(f"action {number + 1}" for number in range(_ACTIONS)),
        train=odd.nonzero().flatten(),
        test=(~odd).nonzero().flatten(),
    )


def _resize(maps: Tensor) -> Tensor:
    return interpolate(maps, size=(_SIZE, _SIZE), mode="bilinear", align_corners=False, antialias=True)
