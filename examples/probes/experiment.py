"""All probes of one trained run: labels times modalities times both parts of the channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from examples.data.splits import PARTS
from examples.errors import UserError
from examples.probes.features import ALL, TARGET, Numbers, Read, Values, halves, labels_of, read
from examples.probes.groups import TOGETHER
from examples.probes.probe import Fold, accuracy, chance, common_enough, control_labels, folds_of, wilson
from examples.probes.records import Probe
from examples.probes.settings import Settings
from examples.run.trained import Trained


def probe_run(trained: Trained, settings: Settings) -> list[Probe]:
    """Return all probes of a run.

    Each label is asked of the channels of all modalities together and of each one alone, as Table 5 does. The control
    task gives every type of sample a random label, where a type is a target with a side label: with the one that is
    asked, or with the first one where the target is. So the digit 3 spoken by theo has one random label, which a probe
    can only learn by heart.

    Args:
        trained: The run.
        settings: Settings of the probes.

    Raises:
        UserError: A label is unknown, or has one value only in this part; says which parts have more.
    """
    asked = _asked(trained, settings)
    known = read(trained.model, trained.data, settings.part)
    return [probe for label in asked for probe in _probe_label(trained, known, label, settings)]


def _asked(trained: Trained, settings: Settings) -> list[str]:
    data = trained.data
    labels = labels_of(data, settings.part)
    sides = [name for name in labels if name not in (*TOGETHER, TARGET)]
    if not sides:
        raise UserError(
            f"`data` (='{data.name}') must have a side label that can be asked; it has {list(labels)}."
        )
    asked = list(settings.labels or [*sides, TARGET])
    unknown = [name for name in asked if name not in (*sides, TARGET)]
    if unknown:
        raise UserError(f"`labels` has unknown names {unknown}; '{data.name}' has {[*sides, TARGET]}.")
    for name in asked:
        if _values(labels[name]) < 2:
            parts = [part for part in (*PARTS, ALL) if getattr(data, part, data.train) is not None]
            others = {part: _values(labels_of(data, part)[name]) for part in parts}
            raise UserError(
                f"`part` (='{settings.part}') has one value of '{name}' only, so there is nothing to tell apart; "
                f"values by part: {others}. --part chooses another."
            )
    return asked


def _values(labels: Numbers) -> int:
    return len(np.unique(labels[labels >= 0]))


@dataclass(frozen=True)
class _Question:
    """One label, with what all probes of it share."""

    label: str
    used: Numbers
    labels: Numbers
    groups: int
    folds: list[Fold]
    controls: list[Numbers]


def _question(known: Read, label: str, settings: Settings) -> _Question:
    random = np.random.default_rng(settings.seed)
    labels, groups = known.labels[label], known.groups
    used = np.flatnonzero(common_enough(labels, groups, settings.folds))
    if len(used) > settings.samples:
        used = np.sort(random.choice(used, settings.samples, replace=False))
        used = used[common_enough(labels[used], groups[used], settings.folds)]
    labels, groups = labels[used], groups[used]
    if _values(labels) < 2:
        raise UserError(
            f"`folds` (={settings.folds}) must be at most the number of groups of samples that each of two values of "
            f"'{label}' has in part '{settings.part}'."
        )
    side = (
        label if label != TARGET else next(name for name in known.labels if name not in (*TOGETHER, TARGET))
    )
    pairs = np.stack([known.labels[TARGET][used], known.labels[side][used]])
    types = np.unique(pairs, axis=1, return_inverse=True)[1]
    return _Question(
        label,
        used,
        labels,
        len(np.unique(groups)),
        folds_of(labels, groups, settings.folds, seed=settings.seed),
        [control_labels(types, labels, random) for _ in range(settings.draws)],
    )


def _probe_label(trained: Trained, known: Read, label: str, settings: Settings) -> list[Probe]:
    """Return the probes of one label: of all modalities together, then of each."""
    question = _question(known, label, settings)
    names = list(trained.model.channels)
    found = []
    for modality in [ALL, *names] if len(names) > 1 else names:
        columns = names if modality == ALL else [modality]
        features = np.concatenate([known.features[name][question.used] for name in columns], axis=1)
        channels = halves(trained.model, modality)
        least = min(int(part.sum()) for part in channels.values())
        for part, chosen in channels.items():
            found.append(
                Probe(
                    row=trained.row,
                    seed=trained.seed,
                    label=label,
                    modality=modality,
                    channels=part,
                    count=int(chosen.sum()),
                    chance=chance(question.labels, question.folds),
                    matched_count=least,
                    samples=len(question.labels),
                    groups=question.groups,
                    classes=_values(question.labels),
                    **_measured(features[:, chosen], question, least, settings),
                )
            )
    return found


def _measured(features: Values, question: _Question, least: int, settings: Settings) -> dict[str, Any]:
    """Return what a probe of these channels gets right, also with `least` of them; nothing where there are none."""
    if not features.shape[1]:
        return dict.fromkeys(("accuracy", "low", "high", "control", "matched"))
    own = _accuracy(features, question.labels, question, settings)
    low, high = wilson(own, question.groups)
    controls = [_accuracy(features, drawn, question, settings) for drawn in question.controls]
    matched = own if least == features.shape[1] else None
    if 0 < least < features.shape[1]:
        random = np.random.default_rng(settings.seed)
        subsets = [random.choice(features.shape[1], least, replace=False) for _ in range(settings.draws)]
        matched = _mean(
            [_accuracy(features[:, subset], question.labels, question, settings) for subset in subsets]
        )
    return {"accuracy": own, "low": low, "high": high, "control": _mean(controls), "matched": matched}


def _accuracy(features: Values, labels: Numbers, question: _Question, settings: Settings) -> float:
    return accuracy(features, labels, question.folds, settings.strength)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
