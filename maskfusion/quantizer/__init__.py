"""The vector quantiser and its family."""
