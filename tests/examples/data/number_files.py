"""Files that hold a number each, the simplest samples there are."""

from pathlib import Path

from examples.data.reading.cache import Item


def write(root: Path, count: int = 6) -> list[Item]:
    """Write 0.txt, 1.txt ... that hold 0, 10, ..."""
    root.mkdir(exist_ok=True)
    paths = [root / f"{number}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(str(10 * number))
    return [Item(path.stem, (path,)) for path in paths]
