"""The progress bar over runs: there on a terminal, silent elsewhere."""

from io import StringIO

import pytest
from rich.console import Console

from examples.cli.watched import watched


@pytest.mark.parametrize("terminal", [True, False])
def test_every_item_comes_and_a_terminal_shows_how_many(terminal: bool):
    console = Console(file=StringIO(), force_terminal=terminal, width=100)
    seen = []
    for item in watched(["first", "second"], "probing", console):
        seen.append(item)
        console.print(f"{item} is done")
    assert seen == ["first", "second"]
    written = console.file.getvalue()
    assert "second is done" in written
    assert ("probing" in written and "2/2" in written) is terminal
