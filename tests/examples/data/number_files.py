"""Files that hold a number each, the simplest samples there are, and who decodes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from examples.data.place import OnError, Place
from examples.data.reading.cache import Decoded, Decoding, Item, decode_once
from examples.data.reading.files import UnreadableError
from examples.data.reading.records import Layout

LAYOUT = {
    "value": Layout("int32", (2,)),
    "length": Layout("uint8", ()),
    "frames": Layout("uint8", (3, 2)),
    "word": Layout("U8", ()),
}


def write(root: Path, count: int = 6) -> list[Item]:
    """Write 0.txt, 1.txt ... that hold 0, 10, ..."""
    root.mkdir(exist_ok=True)
    paths = [root / f"{number}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(str(10 * number))
    return [Item(path.stem, (path,)) for path in paths]


class Reader:
    """Decodes a file that holds a number, and remembers what it was asked for."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.asked: list[str] = []
        self.stop_at = stop_at

    def __call__(self, item: Item) -> Mapping[str, np.ndarray]:
        self.asked.append(item.name)
        if item.name == self.stop_at:
            raise KeyboardInterrupt
        text = item.files[0].read_text()
        if not text.isdecimal():
            raise UnreadableError(f"holds '{text}', no number")
        value = int(text)
        return {
            "value": np.array([value, -value]),
            "length": np.asarray(len(text)),
            "frames": value + np.arange(6).reshape(3, 2),
            "word": np.asarray(f"no {text}"),
        }


def decode(
    items: Sequence[Item],
    reader: Reader,
    on_error: OnError = "raise",
    *,
    folder: Path | None = None,
    workers: int = 1,
) -> Decoded:
    place = Place(items[0].files[0].parent, folder, on_error)
    return decode_once(Decoding("numbers", {"a": 1}, items, LAYOUT, reader), place, workers=workers)


def records(items: Sequence[Item]) -> list[Path]:
    return sorted((items[0].files[0].parent / "maskfusion-cache").rglob("*.record"))
