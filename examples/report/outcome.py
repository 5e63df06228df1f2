"""What a trained network does, as figures and tables: mistakes, what each modality is worth, probes."""

import json
from collections.abc import Sequence

import numpy as np

from examples.errors import UserError
from examples.report import charts, matrices
from examples.report.elements import Figure, Table, cell, number, percent
from examples.report.measure import Measured
from examples.report.subjects import Subject

PROBES = "probes.json"
_MISTAKES = 8  # pairs of classes that are listed


def mistakes(measured: Measured, classes: Sequence[str]) -> Figure:
    """Return which class was taken for which."""
    right = int(np.trace(measured.confusion))
    words = f"Confusion matrix in percent of each true class; {right:,} of {int(measured.confusion.sum()):,} on the diagonal."
    return Figure(matrices.confusion(measured.confusion, classes, words), words)


def confused(measured: Measured, classes: Sequence[str]) -> Table | None:
    """Return the most frequent mistakes; None where there are none."""
    wrong = measured.confusion.copy()
    np.fill_diagonal(wrong, 0)
    totals = measured.confusion.sum(axis=1)
    rows = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]:
        true, predicted = np.unravel_index(flat, wrong.shape)
        if wrong[true, predicted]:
            times = int(wrong[true, predicted])
            share = 100 * times / int(totals[true])
            rows.append([classes[true], classes[predicted], f"{times:,}", f"{share:.1f}"])
    head = ["true", "taken for", "times", "share, %"]
    return Table("Most frequent mistakes; share: of the true class", head, rows) if rows else None


def worth(measured: Measured | None, zeta: float | None) -> tuple[Figure, Table] | None:
    """Return what each modality is worth, as a figure and as a table; None where there is but one modality.

    Args:
        measured: Measurements of the network.
        zeta: Zeta of the same weights.
    """
    if measured is None or measured.contributions is None:
        return None
    found = measured.contributions
    shares = {
        "Shapley value": found.shapley,
        "alone": found.alone,
        "without it": found.without,
        "utilisation": found.utilisation,
    }
    values = {
        measure: {name: 100 * share for name, share in by_modality.items()}
        for measure, by_modality in shares.items()
    }
    for kept in found.kept.values():  # of the one mask that there may be
        values["own channels open"] = dict(kept)
    words = ", ".join(f"{name} {percent(value)}" for name, value in values["Shapley value"].items())
    drawn = {name: values[name] for name in values if name not in ("alone", "without it")}
    figure = Figure(
        charts.worth(drawn, f"What each modality is worth; Shapley values in points: {words}"),
        "What each modality contributes to the score, and the share of its channels that is open.",
    )
    caption = (
        f"Percent, on {measured.samples:,} test samples: {percent(100 * found.with_all)} with all modalities, "
        f"{percent(100 * found.with_none)} with none. Zeta {number(zeta)}."
    )
    rows = [
        [name, *(percent(by_modality[name]) for by_modality in values.values())] for name in found.modalities
    ]
    return figure, Table(caption, ["", *values], rows)


def probes(subject: Subject) -> Table | None:
    """Return what the probes found that were run on this run; None where none were.

    Raises:
        UserError: The file of the probes is no list of them.
    """
    path = subject.folder.path / PROBES
    if not path.is_file():
        return None
    entries = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"'{path}' must hold a list of probes, each with a label, the channels and an accuracy."
        )
    columns = [
        "label",
        "modality",
        "channels",
        "count",
        "accuracy",
        "low",
        "high",
        "chance",
        "control",
        "matched",
    ]
    shown = [key for key in columns if any(key in entry for entry in entries)]
    caption = (
        "Linear probes: how well a label can be told from some of the channels, percent, with its 95 % interval (low, high), "
        "what the most frequent label gets right (chance), and the same probe on a control task."
    )
    return Table(caption, shown, [[cell(entry.get(key)) for key in shown] for entry in entries])
