"""One place for the wording of the error where a trainer's package is missing."""


def missing(package: str, command: str) -> ImportError:
    """What to raise where ``package`` cannot be imported."""
    return ImportError(f"maskfusion.integrations.{package} needs {package}: {command}", name=package)
