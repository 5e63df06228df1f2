"""What other libraries print about themselves on the page *your model*."""

import warnings

import transformers


def quiet() -> None:
    """Silence it."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
