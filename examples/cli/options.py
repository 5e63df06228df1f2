"""Options that several commands share: where the files of a data set lie."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from examples.data.place import OnError, Place


def add_place_arguments(parser: ArgumentParser) -> None:
    """Let a parser read ``--root``, ``--cache`` and ``--on-error``."""
    parser.add_argument("--root", type=Path | None, default=None, help="Folder of the data files.")
    parser.add_argument("--cache", type=Path | None, default=None, help="Folder for decoded copies.")
    parser.add_argument(
        "--on_error", "--on-error", type=OnError, default="raise", help="At files that are damaged."
    )


def parsed_place(parsed: Namespace) -> Place:
    """Return what was parsed.

    Raises:
        FileNotFoundError: There is nothing at `root`.
    """
    if parsed.root is not None and not parsed.root.exists():
        raise FileNotFoundError(f"`root` (='{parsed.root}') must be a folder or a file that is there.")
    return Place(parsed.root, parsed.cache, parsed.on_error)
