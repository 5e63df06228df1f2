"""The command line: ``python -m examples compare | train | show | data check | report | probe | people | pools | transfer | zeta | compact | trade``."""

import shlex
import sys
from argparse import REMAINDER, SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

from rich.console import Console
from rich.markup import escape

from examples.errors import UserError

PROGRAM = "python -m examples"
COMMANDS = {
    "compare": "Train every row of a recipe with every seed.",
    "train": "Train one row with one seed, with logs and checkpoints.",
    "show": "Print the table and draw the figures again, from results.json.",
    "data": "Look at the files of a data set before anything waits for them.",
    "probe": "Ask the channels of trained runs what they know, Table 5.",
    "people": "Hold trained runs of CREMA-D's voices and votes on faces against what people know.",
    "pools": "Pool the heads of trained runs in other ways: without some, with other weights.",
    "transfer": "Train rows from the weights of runs on other data, and from scratch, Table 6.",
    "zeta": "Turn the dials of made-up data, and see what zeta makes of it.",
    "compact": "Make the network of a trained run smaller, without its closed channels.",
    "trade": "Make every network of a comparison smaller, and note sizes and times.",
    "report": "Write one page about runs: figures, pictures, sounds, numbers.",
}
"""What each file of `cli/` does. Each has its `arguments()`, a parser, and `run(parsed, typed)`."""
_GO_ON = ("compare", "train", "transfer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; wrong input is status 2 and one sentence.

    Only the file of the command that is named is imported.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    lines = "\n".join(f"  {name:9} {words}" for name, words in COMMANDS.items())
    first = ArgumentParser(
        prog=PROGRAM,
        description="The paper rebuilt on top of maskfusion.",
        epilog=f"commands:\n{lines}\n\n{PROGRAM} COMMAND --help lists the arguments of one.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    first.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="One of those below.")
    first.add_argument("rest", nargs=REMAINDER, metavar="ARGUMENTS", help=SUPPRESS)
    named = first.parse_args(given)
    command = import_module(f"examples.cli.{named.command}")
    parser = command.arguments()
    parser.prog, parser.description = f"{PROGRAM} {named.command}", COMMANDS[named.command]
    console = Console(stderr=True)
    try:
        status: int = command.run(parser.parse_args(named.rest), shlex.join([*PROGRAM.split(), *given]))
    except UserError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2
    except KeyboardInterrupt:
        more = "; the same command goes on from here" if named.command in _GO_ON else ""
        console.print(f"Stopped{more}.")
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
