"""``python -m examples compact``: make the network of a trained run smaller, and say what went."""

from functools import partial
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.errors import UserError

_CALLS = 20


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_argument("run", type=Path, help="Folder of a run, such as runs/NAME/ROW/seed-0.")
    add_place_arguments(parser)
    parser.add_argument(
        "--output", type=Path | None, default=None, help="Folder to write to (default: that of the run)."
    )
    parser.add_argument("--batch", type=int, default=8, help="How many samples are in a call that is timed.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: The folder holds no run, its network has no mask, or an argument is wrong; says what.
    """
    import torch  # noqa: PLC0415 - takes seconds

    import maskfusion as mf  # noqa: PLC0415
    from examples.run.clock import milliseconds  # noqa: PLC0415
    from examples.run.folder import RunFolder  # noqa: PLC0415
    from examples.run.trained import load_trained  # noqa: PLC0415

    if parsed.batch < 2:
        raise UserError(f"`batch` (={parsed.batch}) must be at least 2.")
    trained = load_trained(RunFolder(parsed.run), parsed_place(parsed))
    if trained.model.mask is None:
        raise UserError(
            f"'{parsed.run}' (row '{trained.row}') must be a run with a mask, such as of the method 'complementary_mask'."
        )
    inputs = trained.first_of_test(parsed.batch)
    small = mf.compact(trained.model, inputs, entry="prediction")
    before, after = milliseconds([partial(trained.model, inputs), partial(small, inputs)], calls=_CALLS)
    lines = [
        f"{typed}\n",
        str(small.report),
        f"One call of {parsed.batch} samples: {before:.2f} ms -> {after:.2f} ms, medians of {_CALLS} on this machine.",
    ]
    folder = parsed.run if parsed.output is None else parsed.output
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(small, folder / "small.pt")
    (folder / "small.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    console = Console()
    for line in (*lines[1:], f"{folder / 'small.pt'}, {folder / 'small.txt'}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0
