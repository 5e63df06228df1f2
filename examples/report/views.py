"""What one run's part of the page holds."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from examples.recipes import Recipe
from examples.report.course import channels_over_training, learning
from examples.report.elements import Figure, Table, cell
from examples.report.gallery import Gallery, galleries
from examples.report.measure import Measured, measure
from examples.report.outcome import confused, mistakes, probes, worth
from examples.report.savings import Savings, savings
from examples.report.space import Space, project
from examples.report.subjects import Subject, metric_name
from examples.run.folder import RECIPE_ONLY

SECTIONS = {
    "channels": "What the mask keeps open",
    "worth": "What each modality is worth",
    "savings": "What the closed channels save",
    "galleries": "Inside the channels",
    "space": "Map of the features",
    "probes": "Probes",
    "learning": "Losses and codebooks",
    "mistakes": "Mistakes",
    "settings": "Settings, and how to repeat it",
}
"""Parts of what is said of a run, in order: name to heading."""


@dataclass(frozen=True)
class View:
    """What one run's part of the page holds.

    Args:
        name: Row and seed.
        anchor: Anchor of its links.
        sections: Sections that have something to say, as in ``SECTIONS``.
        notice: That it was cut short; empty where it was not.
        summary: The few numbers that come first: words, value.
        channels: Figures of the mask over training.
        worth: Figure and table of what each modality is worth.
        savings: The smaller network, in numbers.
        galleries: Pictures from the parts of the channels.
        space: Map of the features.
        probes: Results of the probes.
        learning: Figures of losses and codebooks.
        mistakes: Confusion matrix.
        confused: The most frequent mistakes.
        settings: All of them.
        versions: Versions of the packages.
        command: That trains it again, from its recipe.
        recipe_data: The recipe, base64.
        reasons: Why something cannot be shown, by name of the section.
        measured: Measurements of the network; None without one.
    """

    name: str
    anchor: str
    sections: dict[str, str]
    notice: str
    summary: list[tuple[str, str]]
    channels: list[Figure]
    worth: tuple[Figure, Table] | None
    savings: Savings | None
    galleries: list[Gallery]
    space: Space | None
    probes: Table | None
    learning: list[Figure]
    mistakes: Figure | None
    confused: Table | None
    settings: Table
    versions: Table
    command: str
    recipe_data: str
    reasons: dict[str, str]
    measured: Measured | None


def view(subject: Subject, number: int, *, root: str | None, samples: int) -> View:
    """Look at one run and draw what is found.

    Args:
        subject: The run.
        number: Number of the run in the report; distinguishes its anchors.
        root: Location of the data, for the command that repeats the run.
        samples: Number of samples shown in each gallery.
    """
    trained = subject.trained
    measured = None if trained is None else measure(trained)
    classes = () if trained is None else trained.data.classes
    plan = subject.plan
    where = f" --root {root}" if root is not None else ""
    return View(
        name=subject.name,
        anchor=f"run-{number}",
        sections=SECTIONS if _has_begun(subject) else {"settings": SECTIONS["settings"]},
        notice=_notice(subject),
        summary=_summary(subject),
        channels=channels_over_training(subject),
        worth=worth(measured, subject.zeta),
        savings=savings(trained),
        galleries=[] if trained is None else galleries(trained, samples=samples),
        space=None if trained is None else project(trained),
        probes=probes(subject),
        learning=learning(subject, measured),
        mistakes=None if measured is None else mistakes(measured, classes),
        confused=None if measured is None else confused(measured, classes),
        settings=_settings(plan),
        versions=Table("Versions", ["package", "version"], [[*pair] for pair in plan["versions"].items()]),
        command=f"python -m examples train recipe.yaml --row {plan['row']} --seed {plan['seed']}{where}",
        recipe_data=b64encode(recipe_of(plan).encode()).decode(),
        reasons=_reasons(subject),
        measured=measured,
    )


def recipe_of(plan: Mapping[str, Any]) -> str:
    """Return a recipe file with this run's row alone, as JSON, which is YAML too."""
    row = {key: plan[key] for key in ("method", "quantise", "arguments", "settings", "tune")}
    keys = [key for key in Recipe.__dataclass_fields__ if key not in RECIPE_ONLY]
    recipe = {"comparison": {plan["row"]: row}, "seeds": 1, "first_seed": plan["seed"]}
    return json.dumps(recipe | {key: plan[key] for key in keys}, indent=1) + "\n"


def _has_begun(subject: Subject) -> bool:
    return subject.result is not None or subject.trained is not None


def _notice(subject: Subject) -> str:
    if subject.result is not None:
        return ""
    wanted = subject.plan["epochs"]
    if not _has_begun(subject):
        return (
            f"{subject.name} was cut short before the first of its {wanted} epochs ended: there is nothing to show but its "
            "settings."
        )
    return (
        f"{subject.name} was cut short after epoch {len(subject.epochs)} of {wanted}. It has no score yet, and what follows is "
        "about the network as it was then. The command that started it goes on from there."
    )


def _summary(subject: Subject) -> list[tuple[str, str]]:
    run, zeta = subject.result, "undefined" if subject.zeta is None else f"{subject.zeta:.2f}"
    if run is None:
        return [("epochs so far", f"{len(subject.epochs)} of {subject.plan['epochs']}"), ("zeta", zeta)]
    return [
        (f"{metric_name(subject)}, test part", f"{run.score:.1f} %"),
        ("channels open", f"{sum(run.complementary.values()):.1f} %"),
        ("zeta", zeta),
        ("weights of epoch", f"{run.chosen} of {len(run.epochs)}"),
        ("training", f"{run.seconds:.0f} s" if run.seconds < 120 else f"{run.seconds / 60:.0f} min"),
        ("parameters", f"{run.parameters:,}"),
    ]


def _settings(plan: Mapping[str, Any]) -> Table:
    rows = []
    for key, value in plan.items():
        if isinstance(value, Mapping) and key != "versions":
            rows += [[f"{key}.{name}", cell(inner)] for name, inner in value.items()]
        elif key != "versions":
            rows.append([key, cell(value)])
    return Table("Settings", ["setting", "value"], rows)


def _reasons(subject: Subject) -> dict[str, str]:
    if subject.trained is None:
        lacking = (
            "The checkpoint of this run is not there, so its network cannot be looked at. `train` keeps it, `compare` with "
            "--keep."
        )
        return dict.fromkeys(("worth", "savings", "galleries", "space", "mistakes"), lacking)
    reasons, model = {}, subject.trained.model
    if not model.decoders:
        reasons["galleries"] = (
            f"This run has no decoders, so its channels cannot be turned back into inputs: row {subject.plan['row']} was "
            "trained with `quantise: false`. Rows with `quantise: true` have them."
        )
    if model.mask is None:
        reasons["channels"] = "This run has no mask: every channel is open."
        reasons["savings"] = "This run has no mask, and so no smaller network."
        reasons["space"] = (
            "This run has no mask, which would tell complementary channels from contradictory ones."
        )
    if len(model.channels) == 1:
        reasons["worth"] = "This run has one modality only."
    return reasons
