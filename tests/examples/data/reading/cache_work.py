"""What the processes of `test_cache_processes` do."""

import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from examples.data.place import Place
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.records import Layout


def numbers(root: Path, cache: Path, seconds: float, told: Connection, again: bool) -> None:
    """Decode files that hold a number each, and tell the numbers; before, read them `again` and again until the file `stop` is there."""

    def decode(item: Item) -> Mapping[str, np.ndarray]:
        with (cache / "log").open("a") as file:
            file.write(item.name + "\n")
        time.sleep(seconds)
        return {"value": np.full(50_000, int(item.files[0].read_text()))}

    items = [Item(path.stem, (path,)) for path in sorted(root.glob("*.txt"))]
    decoding = Decoding("numbers", {}, items, {"value": Layout("int32", (50_000,))}, decode)
    copy = decode_once(decoding, Place(root, cache), workers=1)
    if again:
        told.send("ready")
        while not (cache / "stop").exists():
            values = copy.arrays["value"][:]
            assert (values == values[:, :1]).all()
            assert values[:, 0].tolist() == [10 * number for number in range(len(items))]
    told.send(copy.arrays["value"][:][:, 0].tolist())
