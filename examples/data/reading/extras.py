"""What to say where a package that few data sets need is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from examples.errors import UserError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Name the extra to install where an import inside this block fails.

    Args:
        extra: Name of the extra of this repository, see ``pyproject.toml``.

    Raises:
        UserError: Names the package and the command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f'This data set needs the package {error.name}: pip install -c constraints.txt ".[{extra}]"'
        ) from error
