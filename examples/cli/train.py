"""``python -m examples train``: train one row with one seed, with logs and checkpoints."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import (
    add_place_arguments,
    add_recipe_arguments,
    add_run_arguments,
    parsed_place,
    parsed_recipe,
    run_name,
)
from examples.errors import UserError
from examples.methods import create
from examples.results import METRICS, EpochRecord
from examples.results.tables import epoch_line, run_sentence
from examples.run.folder import RunFolder
from examples.run.hardware import Hardware, Log, first_process, leave_processes
from examples.run.loading import loaded
from examples.typed import build


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser(usage="%(prog)s [study] [options]")
    parser.add_argument(
        "study",
        type=str | None,
        nargs="?",
        default=None,
        help="Recipe: a name or a file (default: that of --data).",
    )
    add_place_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument("--row", type=str, default="mask", help="Row of the recipe.")
    parser.add_argument("--seed", type=int, default=0, help="Of split, weights and batches.")
    parser.add_argument(
        "--trial", type=int, default=0, help="Which of the row's trials, from 0, where it is tuned."
    )
    parser.add_argument("--devices", type=int, default=1, help="Processes on each machine.")
    parser.add_argument("--nodes", type=int, default=1, help="Machines.")
    parser.add_argument("--readers", type=int, default=0, help="Processes that read ahead, for each process.")
    parser.add_argument("--log", type=list[Log], default=["csv"], help="Loggers: csv, tensorboard.")
    add_recipe_arguments(parser)
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command and return the exit status.

    Args:
        parsed: Arguments from the parser.
        typed: The whole command.

    Raises:
        UserError: The recipe, an option or the data is wrong; says what.
    """
    del typed
    console = Console(quiet=not first_process())
    recipe = parsed_recipe(parsed)
    recipe.rows([parsed.row])
    hardware = build(Hardware, {key: parsed[key] for key in ("accelerator", "devices", "nodes", "readers")})
    path = parsed.output or (Path("runs") / run_name(parsed, recipe) / parsed.row / f"seed-{parsed.seed}")
    folder = RunFolder(path)
    trials = recipe.comparison[parsed.row].trials()
    if not 0 <= parsed.trial < len(trials):
        raise UserError(
            f"`trial` (={parsed.trial}) must be at least 0 and below {len(trials)}, the trials of this row."
        )
    recipe = recipe.of_row(parsed.row, trials[parsed.trial])
    data = loaded(recipe.data, parsed_place(parsed), seed=parsed.seed, options=recipe.data_options)
    if first_process():
        done = folder.claim(parsed.row, parsed.seed, recipe, fresh=parsed.fresh)
    else:  # which would wait for the first one for ever
        done = None if parsed.fresh else folder.read_result()
    if done is not None:
        console.print(
            f"'{path}' is finished already; --fresh runs it again.", highlight=False, soft_wrap=True
        )
        console.print(run_sentence(done, METRICS[data.task]), highlight=False, soft_wrap=True)
        return 0
    from examples.run.training import train  # noqa: PLC0415 - takes seconds

    row = recipe.comparison[parsed.row]
    last = create(row.method, row.arguments).schedule(recipe)
    epochs = 1 if last is None else last.epochs

    def say_stage(name: str, number: int, record: EpochRecord) -> None:
        console.print(
            f"first {name}: {epoch_line(number, recipe.epochs, record)}", highlight=False, soft_wrap=True
        )

    def say(number: int, record: EpochRecord) -> None:
        console.print(epoch_line(number, epochs, record), highlight=False, soft_wrap=True)

    made = train(
        parsed.row,
        recipe,
        data,
        seed=parsed.seed,
        folder=folder,
        hardware=hardware,
        loggers=tuple(parsed.log),
        progress=console.is_terminal,
        resume=not parsed.fresh,
        on_epoch=say,
        on_stage=say_stage,
    )
    if first_process():
        folder.finish(made, keep=True)
    console.print(run_sentence(made, METRICS[data.task]), highlight=False, soft_wrap=True)
    leave_processes()
    return 0
