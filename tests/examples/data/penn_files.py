"""Small clips in the layout of Penn Action's archive, and the same clips in the layout of the copy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

ACTIONS, VIEWS = ("bowl", "squat"), ("front", "left", "right")
WIDTH, HEIGHT = 48, 32
ANNOTATED = ("pose", "box", "visibility")


def annotation(number: int) -> dict[str, object]:
    random = np.random.default_rng(number)
    frames = 5 + 9 * number
    corner = random.uniform(1, [WIDTH / 2, HEIGHT / 2], (frames, 2))
    return {
        "action": ACTIONS[number % 2],
        "pose": VIEWS[number % 3],
        "x": random.uniform(1, WIDTH, (frames, 13)),
        "y": random.uniform(1, HEIGHT, (frames, 13)),
        "visibility": random.integers(0, 2, (frames, 13), dtype="uint8"),
        "train": 1 if number % 6 < 4 else -1,
        "bbox": np.hstack([corner, corner + random.uniform(1, 10, (frames, 2))]),
        "dimensions": np.array([[HEIGHT, WIDTH, frames]], dtype="float64"),
        "nframes": frames,
    }


def write_labels(root: Path, name: str, values: Mapping[str, object], *, packed: bool = True) -> Path:
    path = root / "labels" / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, dict(values), do_compression=packed)
    return path


def write_frames(root: Path, name: str, frames: int) -> None:
    folder = root / "frames" / name
    folder.mkdir(parents=True)
    for number in range(frames):
        grey = np.full((HEIGHT, WIDTH, 3), 2 * number + 10, dtype="uint8")
        Image.fromarray(grey).save(folder / f"{number + 1:06d}.jpg", quality=95)


def write_copy(folder: Path, clips: list[dict[str, object]]) -> Path:
    """Write the annotations as the copy has them, by a way of its own: one clip and one moment after the other."""
    when = [[round(step * (clip["nframes"] - 1) / 31) for step in range(32)] for clip in clips]
    sizes = [(clip["dimensions"][0, 1], clip["dimensions"][0, 0]) for clip in clips]
    rows = {
        "joints": [
            [[(x / w, y / h) for x, y in zip(clip["x"][t], clip["y"][t], strict=True)] for t in moment]
            for clip, moment, (w, h) in zip(clips, when, sizes, strict=True)
        ],
        "bbox": [
            [clip["bbox"][t] / (w, h, w, h) for t in moment]
            for clip, moment, (w, h) in zip(clips, when, sizes, strict=True)
        ],
        "visibility": [
            [clip["visibility"][t] for t in moment] for clip, moment in zip(clips, when, strict=True)
        ],
    }
    folder.mkdir(exist_ok=True)
    path = folder / "penn_action_pose.npz"
    np.savez_compressed(
        path,
        **{name: np.array(values).astype("float16") for name, values in rows.items()},
        action=np.array([ACTIONS.index(clip["action"]) for clip in clips], dtype="uint8"),
        viewpoint=np.array([VIEWS.index(clip["pose"]) for clip in clips], dtype="uint8"),
        train=np.array([clip["train"] == 1 for clip in clips]),
        video=np.arange(1, len(clips) + 1, dtype="int16"),
        n_frames=np.array([clip["nframes"] for clip in clips], dtype="int16"),
        action_names=np.array(ACTIONS),
        viewpoint_names=np.array(VIEWS),
    )
    return path


def write_archive(root: Path, clips: Sequence[Mapping[str, object]], *, filmed: bool = False) -> Path:
    """Write the labels of all clips, and their frames where they are `filmed`; return the root."""
    for number, clip in enumerate(clips):
        name = f"{number + 1:04d}"
        write_labels(root, name, clip)
        if filmed:
            write_frames(root, name, clip["nframes"])
    return root
