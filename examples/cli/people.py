"""``python -m examples people``: ask trained runs what people were asked, and write it down."""

import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.watched import add_runs_argument, each_trained
from examples.people.records import Network, PeopleResults, Raters
from examples.results.origin import machine, origin
from examples.run.folder import RunFolder
from examples.run.hardware import instructions

_FILE = "people.json"


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    add_runs_argument(parser, "of crema-d-votes")
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/people"), help="Folder to write to.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no run, checkpoint or data, or a run is of data that nobody has judged; says what.
    """
    from examples.people.experiment import ask_network, ask_people, expect_judged  # noqa: PLC0415 - takes seconds
    from examples.people.worth import summary  # noqa: PLC0415

    start, console, place = time.perf_counter(), Console(), parsed_place(parsed)
    plans = [RunFolder(path).read_plan() for path in parsed.runs]
    for plan in plans:
        expect_judged(plan["data"], [each["data_options"] for each in plans])
    raters: dict[int, list[Raters]] = {}
    networks: list[Network] = []
    classes: tuple[str, ...] = ()
    for trained in each_trained(parsed.runs, place, "asking networks", console):
        classes = trained.data.classes
        if trained.seed not in raters:
            raters[trained.seed] = ask_people(trained, place)
        networks.append(ask_network(trained))
    results = PeopleResults(
        data=plans[0]["data"],
        data_options=plans[0]["data_options"],
        classes=list(classes),
        raters=[each for seed in sorted(raters) for each in raters[seed]],
        networks=networks,
        **origin(typed, time.perf_counter() - start, machine(1, instructions())),
    )
    results.write(parsed.output / _FILE)
    for words, known in summary(results).items():
        console.print(f"{words}: {known.mean:.2f} ± {known.half_width:.2f}", highlight=False)
    console.print(f"\nIn {parsed.output / _FILE}", highlight=False, soft_wrap=True)
    return 0
