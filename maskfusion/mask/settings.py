"""Settings of ``attach`` that may differ by modality or by layer."""

from collections.abc import Collection, Mapping
from typing import Any

from maskfusion._checks import expect_int
from maskfusion.mask.attached import Entry

Settings = Mapping[str | None, Any]
"""Values by modality or path; that for all under None."""


def by_key(name: str, setting: Any, known: Collection[str] | None) -> Settings:
    """Read a setting, one value for all or a mapping with some of the known keys; any where these are None.

    Raises:
        ValueError: If it has another key.
    """
    if not isinstance(setting, Mapping):
        return {None: setting}
    unknown = [] if known is None else [key for key in setting if key not in known]
    if unknown:
        raise ValueError(
            f"`{name}` (={dict(setting)!r}) must have keys of {list(known or ())}; {unknown} are none of them. Correct these keys, leave them out, "
            f"or give one value for all."
        )
    return dict(setting)


def setting_of(setting: Settings, *keys: str | None) -> Any:
    """What is set for the first of these keys that is there, else for all."""
    return next((setting[key] for key in (*keys, None) if key in setting), None)


def entries_of(setting: Settings, *keys: str) -> list[Entry]:
    """The entries that are set for one layer; [None] where nothing is.

    Raises:
        ValueError: If the list of them is empty.
    """
    entry = setting_of(setting, *keys)
    entries = list(entry) if isinstance(entry, (list, tuple)) else [entry]
    if not entries:
        raise ValueError(
            f"`entry` (={entry!r}) must name at least one entry. Leave it out where the layer returns a tensor."
        )
    return entries


def one_entry(setting: Settings, path: str) -> Entry:
    """The entry that is set for a layer whose output is fused.

    Raises:
        ValueError: If there are several.
    """
    entries = entries_of(setting, path)
    if len(entries) > 1:
        raise ValueError(
            f"`entry` (={entries!r}) must be one entry where `at` (={path!r}) is one layer for all modalities. Name one, or give `at` by "
            f"modality."
        )
    return entries[0]


def widths_of(modality: str, given: Any) -> list[int]:
    """The channels of a modality: an int, or a sequence with one per layer."""
    counts = given if isinstance(given, (list, tuple)) else [given]
    return [expect_int(f"channels[{modality!r}]", count, least=1) for count in counts]
