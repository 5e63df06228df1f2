"""The command line: ``python -m examples compare | train | show | data check | report | probe | transfer | zeta``."""

import shlex
import sys
from argparse import ArgumentParser as PlainParser
from collections.abc import Callable, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.markup import escape

from examples.cli.data import checked
from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.probe import probe, probe_parser
from examples.cli.report import report, report_parser
from examples.cli.transfer import transfer, transfer_parser
from examples.cli.zeta import zeta, zeta_parser
from examples.compare.study import Study, compare
from examples.data import DATA_SETS, find, load
from examples.errors import UserError
from examples.recipes import Recipe, add_recipe_arguments, build_recipe, recipe_path
from examples.results import METRICS, EpochRecord, Results
from examples.results.tables import epoch_line, run_sentence, show
from examples.run.folder import RunFolder
from examples.run.hardware import Hardware, first_process

Command = Callable[[ArgumentParser, Namespace, Sequence[str]], int]
_WRONG = (UserError, FileNotFoundError, ModuleNotFoundError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; wrong input is status 2 and one sentence."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(arguments)
    except _WRONG as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2


def _run(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(prog="python -m examples", description="The paper rebuilt on top of maskfusion.")
    commands = parser.add_subcommands(required=True)
    parsers = {
        "compare": (_compare_parser(arguments), "Train every row of a recipe with every seed.", _compare),
        "train": (
            _train_parser(arguments),
            "Train one row with one seed, with logs and checkpoints.",
            _train,
        ),
        "show": (_show_parser(), "Print the table and draw the pictures again, from results.json.", _show),
        "data": (ArgumentParser(), "Look at the files of a data set before anything waits for them.", _data),
        "probe": (probe_parser(), "Ask the channels of trained runs what they know, Table 5.", probe),
        "transfer": (
            transfer_parser(arguments),
            "Train rows from the weights of runs on other data, and from scratch, Table 6.",
            transfer,
        ),
        "zeta": (zeta_parser(), "Turn the dials of made-up data, and see what zeta makes of it.", zeta),
        "report": (report_parser(), "Write one page about runs: figures, pictures, sounds, numbers.", report),
    }
    for name, (command, words, _) in parsers.items():
        commands.add_subcommand(name, command, help=words)
    _add_check(parsers["data"][0])
    parsed = parser.parse_args(arguments)
    command, _, run = parsers[parsed.subcommand]
    return run(command, parsed[parsed.subcommand], arguments)


def _recipe_parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return a parser with the options of a run. The keys of a recipe start with the values of the one that is named."""
    parser = ArgumentParser(default_config_files=[str(recipe_path(_named(arguments)))])
    parser.add_argument(
        "study",
        type=str | None,
        nargs="?",
        default=None,
        help="Recipe: a name or a file (default: that of --data).",
    )
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path | None, default=None, help="Folder to write to.")
    parser.add_argument("--fresh", action="store_true", help="Start anew what is finished or was cut short.")
    parser.add_argument("--accelerator", type=str, default="cpu", help="What Lightning runs on.")
    return parser


def _compare_parser(arguments: Sequence[str]) -> ArgumentParser:
    parser = _recipe_parser(arguments)
    parser.add_argument("--rows", type=str, nargs="+", default=None, help="Only these rows of the recipe.")
    parser.add_argument(
        "--workers", type=int | None, default=None, help="Processes (default: one for each core)."
    )
    parser.add_argument("--keep", action="store_true", help="Keep the checkpoints of finished runs.")
    add_recipe_arguments(parser)
    return parser


def _named(arguments: Sequence[str]) -> str:
    """Return the recipe that the command line names: STUDY, or that of the data set, or the one for the data that ships."""
    if len(arguments) > 1 and arguments[0] in ("compare", "train") and not arguments[1].startswith("-"):
        return arguments[1]
    first = PlainParser(add_help=False, allow_abbrev=False)
    first.add_argument("--data", default="mfeat")
    data: str = first.parse_known_args(arguments)[0].data
    return data


def _folder(parsed: Namespace, recipe: Recipe, arguments: Sequence[str]) -> Path:
    if parsed.study is not None and parsed.study != _named(arguments):
        raise ValueError(f"`study` (='{parsed.study}') must come right after the command.")
    return parsed.output or Path("runs") / (Path(parsed.study).stem if parsed.study else recipe.data)


def _train_parser(arguments: Sequence[str]) -> ArgumentParser:
    parser = _recipe_parser(arguments)
    parser.add_argument("--row", type=str, default="mask", help="Row of the recipe.")
    parser.add_argument("--seed", type=int, default=0, help="Of split, weights and batches.")
    parser.add_argument(
        "--trial", type=int, default=0, help="Which of the row's trials, from 0, where it is tuned."
    )
    parser.add_argument("--devices", type=int, default=1, help="Processes on each machine.")
    parser.add_argument("--nodes", type=int, default=1, help="Machines.")
    parser.add_argument("--readers", type=int, default=0, help="Processes that read ahead, for each process.")
    parser.add_argument("--log", type=list[str], default=["csv"], help="Loggers: csv, tensorboard.")
    add_recipe_arguments(parser)
    return parser


def _show_parser() -> ArgumentParser:
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path, help="Where a comparison wrote its results.json.")
    return parser


def _add_check(data: ArgumentParser) -> None:
    check = ArgumentParser()
    check.add_argument("name", type=str, help=f"One of {', '.join(DATA_SETS)}.")
    add_place_arguments(check)
    data.add_subcommands(required=True).add_subcommand("check", check, help="Verify layout and counts.")


def _compare(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    console = Console()
    recipe = build_recipe(parser, parsed)
    folder = _folder(parsed, recipe, arguments)
    study = Study(
        recipe,
        folder,
        parsed_place(parsed),
        rows=parsed.rows,
        hardware=Hardware(parsed.accelerator),
        keep=parsed.keep,
        fresh=parsed.fresh,
    )
    try:
        results = compare(study, workers=parsed.workers, command=_typed(arguments), console=console)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped; the same command goes on from here.")
        return 130
    results.write(folder / "results.json")
    results.small().write(folder / "summary.json")
    _present(folder, console)
    return 1 if results.failures else 0


def _train(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    console = Console(quiet=not first_process())
    recipe = build_recipe(parser, parsed)
    recipe.rows([parsed.row])
    path = parsed.output or _folder(parsed, recipe, arguments) / parsed.row / f"seed-{parsed.seed}"
    hardware = Hardware(parsed.accelerator, parsed.devices, parsed.nodes, parsed.readers)
    folder = RunFolder(path)
    trials = recipe.comparison[parsed.row].trials()
    if not 0 <= parsed.trial < len(trials):
        raise ValueError(
            f"`trial` (={parsed.trial}) must be at least 0 and below {len(trials)}, the trials of this row."
        )
    recipe = recipe.of_row(parsed.row, trials[parsed.trial])
    data = load(recipe.data, parsed_place(parsed), seed=parsed.seed, options=recipe.data_options)
    run = folder.claim(parsed.row, parsed.seed, recipe, fresh=parsed.fresh) if first_process() else None
    if run is not None:
        console.print(
            f"'{path}' is finished already; --fresh runs it again.", highlight=False, soft_wrap=True
        )
        console.print(run_sentence(run, METRICS[data.task]), highlight=False, soft_wrap=True)
        return 0
    from examples.run.training import train  # noqa: PLC0415 - takes seconds

    def say(number: int, record: EpochRecord) -> None:
        console.print(epoch_line(number, recipe.epochs, record), highlight=False, soft_wrap=True)

    try:
        run = train(
            parsed.row,
            recipe,
            data,
            seed=parsed.seed,
            folder=folder,
            hardware=hardware,
            loggers=tuple(parsed.log),
            progress=console.is_terminal,
            on_epoch=say,
        )
    except KeyboardInterrupt:
        console.print("Stopped; the same command goes on after the last whole epoch.")
        return 130
    if first_process():
        folder.finish(run, keep=True)
    console.print(run_sentence(run, METRICS[data.task]), highlight=False, soft_wrap=True)
    return 0


def _show(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    del parser, arguments
    _present(parsed.folder, Console())
    return 0


def _present(folder: Path, console: Console) -> None:
    from examples.results.figures.training import draw  # noqa: PLC0415 - takes a second, and most commands draw nothing

    results = Results.read(folder / "results.json")
    show(results, console)
    pictures = "".join(f", {path}" for path in draw(results, folder))
    console.print(f"\nIn {folder / 'results.json'}{pictures}", highlight=False, soft_wrap=True)


def _data(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    del parser, arguments
    console = Console()
    name = parsed.check.name
    data_set = find(name)
    findings = data_set.check(parsed_place(parsed.check))
    console.print(checked(name, findings))
    if all(finding.good for finding in findings):
        console.print("All there.")
        return 0
    console.print(data_set.source, highlight=False)
    return 1


def _typed(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "examples", *arguments])


if __name__ == "__main__":
    sys.exit(main())
