"""Did adding a modality hurt? Two sentences, from the runs that are there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.results import Interval, Results, Run, interval, paired_difference

if TYPE_CHECKING:  # what prints the answer of a comparison waits for nothing
    from maskfusion.contribution import Contributions

_PLAIN, _MASKED, _CURE = "concatenation", "complementary_mask", "alone_joined_pooled"
_PERCENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Answer:
    """What stands at the top of a report.

    Args:
        question: Question, with the names of the modalities.
        sentence: Answer, with the numbers.
        told: Whether the runs can tell at all.
    """

    question: str
    sentence: str
    told: bool = True


def answer(results: Results, worth: "Mapping[str, Contributions]") -> Answer:
    """Return question and answer.

    Args:
        results: Results of a comparison. Rows with one modality and rows with several on the same seeds answer the question.
        worth: Loss of trained networks without each modality, by run; it answers where no row was trained on one
            modality.
    """
    rows = results.rows()
    alone = {name: runs for name, runs in rows.items() if len(runs[0].channels) == 1}
    fused = {name: runs for name, runs in rows.items() if len(runs[0].channels) > 1}
    if not fused:
        names = _listed(results.modalities)
        sentence = f"These runs cannot tell: each was trained on one modality only ({names})."
        return Answer("Did adding a modality hurt?", sentence, told=False)
    plain = next((name for name, runs in fused.items() if runs[0].method == _PLAIN), next(iter(fused)))
    comparable = {name: runs for name, runs in alone.items() if _paired(fused[plain], runs)}
    if not comparable:
        return _inside(results, plain, worth)
    best = max(comparable, key=lambda name: _mean(comparable[name]))
    (base,) = comparable[best][0].channels
    added = [name for name in fused[plain][0].channels if name != base]
    difference = paired_difference(fused[plain], comparable[best])
    first = (
        f"{_verdict(difference)}: together, in row {plain}, they reach {_mean(fused[plain]):.1f}{_PERCENT} {results.metric}, "
        f"{base} alone {_mean(comparable[best]):.1f}{_PERCENT}, {_points(difference)}"
    )
    masked = next((name for name, runs in fused.items() if _penalised(name, runs, results)), None)
    *_, cured = None, *(name for name, runs in fused.items() if runs[0].method == _CURE)
    others = {"with the mask": masked, "alone first, then joined and pooled": cured}
    second = [
        f"{words}, in row {name}, {_mean(fused[name]):.1f}{_PERCENT}, "
        f"{_points(paired_difference(fused[name], comparable[best]))}"
        for words, name in others.items()
        if name not in (None, plain)
    ]
    more = "; ".join(second)
    sentence = f"{first}." + (f" {more[0].upper()}{more[1:]}." if more else "")
    return Answer(f"Did adding {_listed(added)} to {base} hurt?", sentence)


def _inside(results: Results, row: str, worth: "Mapping[str, Contributions]") -> Answer:
    runs = results.rows()[row]
    question = f"Did joining {_listed(list(runs[0].channels))} hurt?"
    first = (
        f"These runs cannot tell, as none was trained on one modality alone on the same seed; row {row} reaches "
        f"{_mean(runs):.1f}{_PERCENT} {results.metric}"
    )
    words = [first]
    for name, found in worth.items():
        lost = [f"{100 * rest:.1f}{_PERCENT} without {modality}" for modality, rest in found.without.items()]
        words.append(
            f"the network of {name} goes from {100 * found.with_all:.1f}{_PERCENT} to {_listed(lost)}"
        )
    return Answer(question, "; ".join(words) + ".", told=False)


def _verdict(difference: Interval) -> str:
    if difference.count == 1:
        did = "It did" if difference.mean < 0 else "It did not"
        return f"{did} on this one seed, which cannot tell chance from effect"
    if difference.mean + difference.half_width < 0:
        return "Yes"
    if difference.mean - difference.half_width > 0:
        return "No, it helped"
    return f"These {difference.count} seeds cannot tell"


def _points(difference: Interval) -> str:
    signed = f"{difference.mean:+.1f} points".replace("-", "\N{MINUS SIGN}")
    if math.isnan(difference.half_width):
        return signed
    return f"{signed} (± {difference.half_width:.1f}, 95{_PERCENT} over {difference.count} seeds)"


def _penalised(name: str, runs: Sequence[Run], results: Results) -> bool:
    arguments = results.recipe["comparison"].get(name, {}).get("arguments", {})
    return runs[0].method == _MASKED and arguments.get("mask_weight", 1) > 0


def _paired(runs: Sequence[Run], others: Sequence[Run]) -> bool:
    return bool({run.seed for run in runs} & {run.seed for run in others})


def _mean(runs: Sequence[Run]) -> float:
    return interval([run.score for run in runs]).mean


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
