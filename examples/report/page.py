"""The page: everything that was found, put into the templates, as one HTML text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import maskfusion
from examples.pictures import Picture
from examples.report import charts
from examples.report.elements import Figure, Table
from examples.report.gallery import Gallery
from examples.report.inline import picture, player
from examples.report.question import Answer, answer
from examples.report.reconstruct import PARTS
from examples.report.space import PROJECTIONS, SIDES
from examples.report.subjects import Given
from examples.report.views import View
from examples.results import Results
from examples.results.rows import best_alone, mean_score
from examples.results.tables import findings, table

TEMPLATES = Path(__file__).with_name("templates")
EXPLAINED = {
    "all": "All channels: what the decoder or the head makes of everything that was encoded.",
    "complementary": "The open channels: what the network uses for its task. The others are zero.",
    "contradictory": "The channels that the mask has closed: what the network leaves aside. The others are zero.",
    "exchanged": "Each sample's own complementary channels, with the contradictory ones of the sample before it here (the first takes the last one's).",
}
_WIDE = 1.8  # times as wide as high: such pictures get a line of their own


@dataclass(frozen=True)
class Card:
    """One sample in a gallery: the picture on the left, and one for each part of the channels."""

    first: Markup
    parts: dict[str, Markup]
    caption: str


def render(given: Given, views: Sequence[View], *, command: str) -> str:
    """Return the page.

    Args:
        given: Runs and comparisons that were named.
        views: Views of the runs that were looked at closely.
        command: Command that was typed.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(minus=_minus, code=_code)
    script, style = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.js", "style.css"))
    return environment.get_template("report.html").render(
        data=given.data,
        answer=_answer(given, views),
        comparisons=[_comparison(name, results) for name, results in given.comparisons.items()],
        pages=[_page(run) for run in views],
        explained=EXPLAINED,
        projections=PROJECTIONS,
        sides=SIDES,
        command=command,
        version=maskfusion.__version__,
        script=Markup(script),
        style=Markup(style),
    )


def _minus(words: str) -> str:
    """Return the words with a true minus before each negative number."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", words)


def _code(words: str) -> Markup:
    """Return the words with what stands between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(words))))


def _answer(given: Given, views: Sequence[View]) -> Answer:
    worth = {
        run.name: run.measured.contributions for run in views if run.measured and run.measured.contributions
    }
    answers = [answer(results, worth) for results in given.comparisons.values()]
    unfinished = Answer(
        "Did adding a modality hurt?", "These runs cannot tell yet: none of them is finished.", told=False
    )
    return next((made for made in answers if made.told), next(iter(answers), unfinished))


def _comparison(name: str, results: Results) -> dict[str, Any]:
    made = table(results)
    columns = [list(column.cells) for column in made.columns]
    head = [str(column.header) for column in made.columns]
    rows = [[str(cell) for cell in row] for row in zip(*columns, strict=True)]
    return {
        "table": Table(f"{made.title} ({name})", head, rows),
        "note": (
            f"{results.metric}: percent on the test part, mean and 95 % interval over seeds. open: percent of all fused channels; "
            "the columns of the modalities: compl, each one's part of that. zeta: smallest over largest open share."
        ),
        "findings": findings(results),
        "figures": [_scores(results), *_over_training(results)],
        "command": results.command,
    }


def _scores(results: Results) -> Figure:
    """Return the scores of every seed and row."""
    rows, base = results.rows(), best_alone(results)
    values = {name: [run.score for run in runs] for name, runs in rows.items()}
    means = ", ".join(f"{name} {mean_score(runs).mean:.1f}" for name, runs in rows.items())
    several = any(len(scores) > 1 for scores in values.values())
    words = "Dots: the seeds. Bars: their mean and its 95 % interval." if several else "One seed of each row."
    if base is not None:
        words += f" Dotted: the mean of {base}, the best alone."
    drawn = charts.scores(values, base, f"{results.metric}, %", f"{results.metric} by row, the mean: {means}")
    return Figure(drawn, words)


def _over_training(results: Results) -> list[Figure]:
    """Return zeta over training of each row with a mask, the mean over seeds; nothing with one run of each row."""
    lines: dict[str, list[float | None]] = {}
    for name, runs in results.rows().items():
        masked = [run.epochs for run in runs if run.masked]
        if len(masked) > 1:
            lines[name] = [
                fmean(known)
                if (known := [record.zeta for record in records if record.zeta is not None])
                else None
                for records in zip(*masked, strict=False)
            ]
    if not lines:
        return []
    words = "Zeta over training, the mean over seeds, of the rows with a mask."
    return [Figure(charts.curves(lines, "\N{GREEK SMALL LETTER ZETA}", words, top=1.0), words)]


def _page(run: View) -> dict[str, Any]:
    """Return what the templates need beside the view: pictures as elements, and the data of the map."""
    parts = {part: None for gallery in run.galleries for part in gallery.parts}
    return {
        "run": run,
        "parts": [part for part in PARTS if part in parts],
        "galleries": [
            {
                "title": gallery.title,
                "first": gallery.first,
                "legend": gallery.legend,
                "wide": gallery.inputs[0].aspect >= _WIDE,
                "heard": bool(gallery.inputs[0].wav),
                "cards": _cards(gallery),
            }
            for gallery in run.galleries
        ],
        "space_data": None
        if run.space is None
        else {
            "places": run.space.places,
            "explained": run.space.explained,
            "labels": run.space.labels,
            "names": run.space.names,
        },
    }


def _cards(gallery: Gallery) -> list[Card]:
    return [
        Card(
            _element(gallery.inputs[number], f"{gallery.title}, {gallery.first}: {caption}"),
            {
                part: _element(pictures[number], f"{gallery.title}, {part} channels: {caption}")
                for part, pictures in gallery.parts.items()
            },
            caption,
        )
        for number, caption in enumerate(gallery.captions)
    ]


def _element(shown: Picture, description: str) -> Markup:
    body = picture(shown, description)
    return body + player(shown.wav, f"Sound of {description}") if shown.wav else body
