"""What a page says of a number is held against the number when the page is built."""

import re

import pytest

from docs.shown.claims import claim


def test_a_claim_that_holds_says_nothing():
    claim("zeta rises", True, True)


@pytest.mark.parametrize("true", [(False,), (True, False)])
def test_a_claim_that_no_longer_holds_is_named(true: tuple[bool, ...]):
    words = 'A page says "zeta rises". The files no longer do: write that sentence anew.'
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        claim("zeta rises", *true)
