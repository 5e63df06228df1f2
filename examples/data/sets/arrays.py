"""Arrays of your own: every array of a file is a modality, but for the label, the group and the split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place
from examples.data.reading.bundles import Bundle, Stored, open_bundle
from examples.data.reading.files import listed
from examples.data.sets.arrays_columns import Given, expect_name, expect_numbers, form_of
from examples.data.sets.arrays_labels import classes_of, numbered, split_of
from examples.errors import UserError

SOURCE = (
    "Bring arrays of your own: an .npz archive, a folder of .npy files or a .safetensors file, with an array `label`; name it "
    "with --root. docs/own-data.md says what they may hold."
)
_LARGE = 250_000_000  # bytes that are worth a word where each process holds them
_MEGABYTE = 1_000_000


def load_arrays(
    place: Place,
    *,
    seed: int = 0,
    modalities: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    label: str = "label",
    group: str = "group",
    split: str = "split",
    validation: float = 0.15,
    test: float = 0.3,
    content: str = "",
) -> MultimodalData:
    """Return every array that has a row for each sample as a modality.

    The shape of a sample tells its kind: ``(features,)`` is a vector, ``(channels, length)`` a sequence, ``(channels, height,
    width)`` or ``(height, width, 1 to 4 channels)`` an image, and so is a square without channels; what is too small to be
    halved twice is a vector.

    A missing value, NaN, becomes the mean of its channel over the training part, which is 0 once standardised; where a sample
    lacks a modality, so that its whole row is NaN, that is the whole row.

    Args:
        place: An ``.npz`` or ``.safetensors`` file, or a folder of ``.npy`` files.
        seed: Draws the split, where the file does not say it.
        modalities: Names of the arrays to take, in the order in which they are fused; all that are nothing else when none are named.
        kinds: Name to vector, sequence, image or channels-last (a sequence or image with its channels in the last axis), where the
            shape tells the wrong one.
        label: Name of the array of labels, whole numbers or texts, one for each sample or ``(samples, height, width)``; pixels
            with -100 are not scored.
        group: Name of the array that says which samples belong together, such as a person; no group is in two parts. It may lack.
        split: Name of the array that says the part of each sample: train, validation or test, or 0, 1, 2. It may lack.
        validation: Share of the samples, or of the groups, that choose the epoch, where `split` names none.
        test: Share that is scored, where there is no `split`.
        content: Digest of the files, as `identify_arrays` gives it; others are refused.

    Raises:
        UserError: An array is missing, or is not what it should be, or an option is impossible; says what to do.
    """
    if isinstance(modalities, str):
        raise UserError(f"`modalities` (='{modalities}') must be a list of names, as in '[words, voice]'.")
    if isinstance(kinds, str):
        raise UserError(
            f"`kinds` (='{kinds}') must be names to kinds, a blank after each colon, as in '{{words: vector}}'."
        )
    bundle = open_bundle(place)
    if content not in ("", bundle.digest()):
        raise UserError(
            f"'{bundle.path}' does not hold what it did when these runs were made. --fresh starts them anew, another --output "
            "leaves them alone."
        )
    for option, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise UserError(f"`{option}` (={share}) must be a share of the samples, at least 0 and below 1.")
    names, roles = _sorted(bundle, modalities, label, [group, split])
    columns = _columns(bundle, names, kinds or {})
    target, classes = classes_of(label, roles[label])
    together, parts = ((name, roles[name]) if name in roles else None for name in (group, split))
    chosen = split_of(parts, together, target, validation=validation, test=test, seed=seed)
    if validation and not len(chosen.validation):
        raise UserError(
            f"{len(target)} samples are too few to hold some back that choose the epoch; bring more."
        )
    members = None if together is None else numbered(*together)
    data = split_and_standardise(
        "arrays",
        columns,
        torch.as_tensor(target),
        kinds={name: column.form.kind for name, column in columns.items()},
        classes=classes,
        split=chosen,
        task="classification" if target.ndim == 1 else "segmentation",
        labels=None if members is None else {group: torch.as_tensor(members[0])},
        values=None if members is None else {group: members[1]},
    )
    for name, (mean, _) in data.scales.items():
        if mean.isnan().any():
            raise UserError(
                f"'{name}' has {int(mean.isnan().sum()):,} features of which the training part has no value at all; leave them out."
            )
    how = f"as '{split}' says" if parts else f"drawn by '{group}'" if together else "drawn by seed"
    return replace(data, notes=_notes(bundle, data, columns, how))


def check_arrays(place: Place, **options: Any) -> list[Finding]:
    """Read all, with the options of `load_arrays`, and say how."""
    return [Finding(what, "", words, good=True) for what, words in load_arrays(place, **options).notes]


def identify_arrays(place: Place) -> dict[str, str]:
    """Return the option that tells these files from others."""
    return {"content": open_bundle(place).digest()}


def _sorted(
    bundle: Bundle, modalities: Sequence[str], label: str, others: Sequence[str]
) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """Return the names of the modalities, and the arrays that are something else by name, all with as many rows."""
    arrays = bundle.arrays
    there = listed((f"{name} {stored.shape}" for name, stored in arrays.items()), 20)
    if label not in arrays:
        raise UserError(
            f"'{bundle.path}' has no array '{label}', the class of each sample. There: {there or 'nothing'}. "
            "--data_options.label NAME takes another."
        )
    roles = [label, *(name for name in others if name in arrays)]
    names = list(modalities) or [name for name in arrays if name not in roles]
    wrong = [name for name in names if name not in arrays or name in roles or names.count(name) > 1]
    if wrong:
        raise UserError(
            f"`modalities` has the names {sorted(set(wrong))}, which are not there, not modalities, or there twice. "
            f"There: {there}; {roles} are none."
        )
    if not names:
        raise UserError(f"'{bundle.path}' holds nothing besides {roles}: no modality.")
    for name in names:
        expect_name(name)
    for name in roles:
        if arrays[name].kind not in "biufUS":
            raise UserError(
                f"'{name}', of type {arrays[name].type}, holds {arrays[name].holds}; it must hold whole numbers or texts. Save it again "
                "as such, with .astype(int) or .astype(str)."
            )
    rows = {name: arrays[name].shape[0] if arrays[name].shape else 0 for name in (*roles, *names)}
    odd = {name: count for name, count in rows.items() if count != rows[label]}
    if not rows[label]:
        raise UserError(
            f"'{label}' is empty, its shape is {arrays[label].shape}; it needs a row for each sample."
        )
    if odd:
        raise UserError(
            f"'{label}' has {rows[label]:,} rows, one per sample, and other arrays have more or fewer: "
            f"{listed(f'{name} {arrays[name].shape}' for name in odd)}. Correct them, or list the arrays to use: "
            "--data_options.modalities '[...]'."
        )
    for name in names:
        expect_numbers(name, arrays[name])
    return names, {name: _whole(arrays[name]) for name in roles}


def _whole(stored: Stored) -> NDArray[Any]:
    values = stored.read()
    return values.numpy() if isinstance(values, Tensor) else np.asarray(values)


def _columns(bundle: Bundle, names: Sequence[str], kinds: Mapping[str, str]) -> dict[str, Given]:
    unknown = sorted(set(kinds) - set(names))
    if unknown:
        raise UserError(f"`kinds` has unknown names {unknown}; the modalities are {list(names)}.")
    return {name: _column(bundle.stamps(), name, bundle.arrays[name], kinds.get(name)) for name in names}


@lru_cache(maxsize=64)  # so that all seeds share the arrays
def _column(stamps: tuple[object, ...], name: str, stored: Stored, kind: str | None) -> Given:
    del stamps
    form = form_of(name, stored.shape[1:], kind)
    return Given(name, stored.read(), form)


def _notes(
    bundle: Bundle, data: MultimodalData, columns: Mapping[str, Given], how: str
) -> tuple[tuple[str, str], ...]:
    """Return what was read, and how."""
    parts = {name: len(positions) for name, positions in vars(data.split).items()}
    scored = data.train.target[data.train.target != UNSCORED].long()
    counts = scored.bincount(minlength=len(data.classes))
    largest = _percent(float(counts.max()) / len(scored))
    unseen = listed(data.classes[number] for number in (counts == 0).nonzero().flatten().tolist())
    each = "per sample" if data.task == "classification" else "per pixel"
    lines = [
        (bundle.path.resolve().name, f"{sum(parts.values()):,} samples"),
        (
            "split",
            f"{parts['train']:,} to learn from, {parts['validation']:,} to choose the epoch, {parts['test']:,} to test, {how}",
        ),
        (
            "classes",
            f"{len(data.classes)}, one {each}; the most frequent has {largest}"
            + (f"; not in the training part: {unseen}" if unseen else ""),
        ),
    ]
    for name, column in columns.items():
        lacking = f"; {_percent(column.absent / len(column))} of the samples lack it" if column.absent else ""
        holes = f"; {_percent(column.missing)} of its other values are missing" if column.missing else ""
        lines.append((name, f"{column.form}{lacking}{holes}"))
    if any(column.absent or column.missing for column in columns.values()):
        lines.append(
            ("NaN", "is missing: the mean of the training part takes its place, 0 once standardised")
        )
    size = sum(bundle.arrays[name].bytes for name in columns)
    if not bundle.mapped and size > _LARGE:
        words = f"an .npz archive cannot be mapped: each process holds these {size / _MEGABYTE:,.0f} MB"
        lines.append(("memory", f"{words}; a folder of .npy files is read as needed"))
    return tuple(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"
