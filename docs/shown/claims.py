"""What a page says in words, held against the numbers it speaks of."""


def claim(sentence: str, *true: bool) -> None:
    """Hold a sentence, or a part of one, against what it rests on.

    Args:
        sentence: Words of the page.
        true: Conditions that have to hold, with a margin, so that measuring again does not trip over the last digit.

    Raises:
        ValueError: Something no longer holds; names the sentence.
    """
    if not all(true):
        raise ValueError(f'A page says "{sentence}". The files no longer do: write that sentence anew.')
