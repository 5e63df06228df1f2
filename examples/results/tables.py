"""The table in the terminal, and the few sentences under it, from results and from nothing else."""

import math
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from examples.recipes import Value
from examples.results.epochs import EpochRecord
from examples.results.records import Results, Run
from examples.results.rows import (
    against,
    best_alone,
    chosen,
    concatenation,
    cost,
    mean_score,
    paired_difference,
    scores_alone,
)
from examples.results.statistics import Interval, interval

NOTHING = "-"
FAILED = "failed"
_LISTED = 3  # samples that a sentence names


def show(results: Results, console: Console) -> None:
    """Print the table, what its columns are, and what it says."""
    names = f"{results.modalities[0]} ... {results.modalities[-1]}"
    console.print()
    console.print(table(results))
    console.print(
        f"{results.metric}: percent, mean and 95 % interval over seeds (Student's t). open: percent of all "
        f"{_fused(results)} fused channels. {names}: compl, each modality's part of that. "
        "zeta: smallest over largest open share.",
        style="dim",
        highlight=False,
    )
    if results.trials:
        console.print()
        console.print(comparison(results))
        console.print(
            "Paired by seed. Modalities: score of the joint network with the others at their mean. time, size: of the "
            "processor and in parameters, over those of concatenation.",
            style="dim",
            highlight=False,
        )
        choices = (f"{name} {_settings(chosen(results, name))}" for name in results.rows())
        console.print(f"Chosen by validation loss: {'; '.join(choices)}.", style="dim", highlight=False)
    console.print()
    for sentence in findings(results):
        console.print(sentence, highlight=False)


def table(results: Results) -> Table:
    """Return one line per row: score, open channels, compl of every modality, zeta; means over seeds."""
    train, test = results.samples["train"], results.samples["test"]
    seeds = _count(len({run.seed for run in results.runs}), "seed")
    made = _narrow(f"{results.data}: {train:,} samples to learn from, {test:,} to test, {seeds}")
    made.add_column("", no_wrap=True)
    made.add_column(results.metric, justify="right", no_wrap=True)
    made.add_column("open", justify="right", no_wrap=True)
    for name in results.modalities:
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("zeta", justify="right", no_wrap=True)
    rows = results.rows()
    for name in results.row_names():
        if name in rows:
            made.add_row(name, score(mean_score(rows[name])), *_shares(rows[name], results))
        else:
            made.add_row(name, FAILED, *[NOTHING] * (len(results.modalities) + 2))
    return made


def comparison(results: Results) -> Table:
    """Return one line per row: differences paired by seed, each modality alone inside the network, and costs."""
    bases = {"joint": concatenation(results), "best": best_alone(results)}
    made = _narrow(
        f"{results.data}: points more than joint ({bases['joint']}) and best alone ({bases['best']})"
    )
    made.add_column("", no_wrap=True)
    for name in (*(f"- {word}" for word in bases), *results.modalities, "time", "size"):
        made.add_column(name, justify="right", no_wrap=True)
    for name, runs in results.rows().items():
        differences = (
            against(results, name, base) if base and base != name else None for base in bases.values()
        )
        inside = scores_alone(results, name) if len(runs[0].channels) > 1 else {}
        price = cost(results, name)
        made.add_row(
            name,
            *(NOTHING if value is None else signed(value) for value in differences),
            *(f"{inside[key].mean:.0f}" if key in inside else NOTHING for key in results.modalities),
            f"{price.time:.1f}",
            f"{price.parameters:.1f}",
        )
    return made


def findings(results: Results) -> list[str]:
    """Return the sentences under the table: what fusing brings, what each mask costs and closes, what failed, what was left out."""
    rows, best = results.rows(), best_alone(results)
    sentences = []
    for name, runs in rows.items():
        if runs[0].method == "concatenation" and best is not None:
            difference = paired_difference(runs, rows[best])
            sentences.append(f"{name} against {best}, the best alone: {signed(difference)} points.")
    for name, runs in rows.items():
        if runs[0].method == "complementary_mask":
            sentences.append(_mask_sentence(name, runs, rows))
    sentences += [_failure_sentence(name, results) for name in {each.row: None for each in results.failures}]
    left_out = {name: why for run in results.runs for name, why in run.left_out.items()}
    return sentences + ([f"Left out: {_left_out(left_out)}."] if left_out else [])


def epoch_line(number: int, epochs: int, record: EpochRecord) -> str:
    """Return what one epoch ended with, in a line."""
    parts = {"task": "task", "reconstruction": "reconstruction", "code": "code"}
    terms = ", ".join(f"{word} {record.loss[key]:.3f}" for key, word in parts.items() if record.loss[key])
    words = [f"epoch {number:>{len(str(epochs))}}/{epochs}: loss {record.loss['total']:.3f} ({terms})"]
    if record.validation:
        words.append(f"validation {record.validation['loss']:.3f}, {record.validation['score']:.1f} %")
    if record.perplexity:
        words.append(
            "perplexity " + ", ".join(f"{name} {value:.0f}" for name, value in record.perplexity.items())
        )
    if record.complementary:
        words.append(
            "compl " + ", ".join(f"{name} {value:.1f}" for name, value in record.complementary.items())
        )
        words.append("zeta -" if record.zeta is None else f"zeta {record.zeta:.2f}")
    return "; ".join(words)


def run_sentence(run: Run, metric: str) -> str:
    """Return what one run came to, in a sentence."""
    kept = sum(run.complementary.values())
    without = f" Left out: {_left_out(run.left_out)}." if run.left_out else ""
    return (
        f"{run.row}, seed {run.seed}: {metric} {run.score:.1f} % on the test part with the weights of epoch "
        f"{run.chosen}; {_percent(kept)} % of the channels open; {run.seconds:.0f} s.{without}"
    )


def _left_out(reasons: Mapping[str, str]) -> str:
    """Return how many samples are in no part, and the first of them with the reason."""
    some = "; ".join(f"{name} {why}" for name, why in list(reasons.items())[:_LISTED])
    more = f" and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    return f"{_count(len(reasons), 'sample')}, {some}{more}"


def _mask_sentence(name: str, runs: Sequence[Run], rows: dict[str, list[Run]]) -> str:
    kept = interval([sum(run.complementary.values()) for run in runs]).mean
    words = [f"{name} leaves {_percent(kept)} % of the channels open"]
    for base, others in rows.items():
        if others[0].method == "concatenation" and others[0].quantise == runs[0].quantise:
            words.append(f"{signed(paired_difference(runs, others))} points against {base}")
    closed = {key: sum(run.kept[key] == 0 for run in runs) for key in runs[0].channels}
    shut = [f"{key} ({count} of {_count(len(runs), 'seed')})" for key, count in closed.items() if count]
    words.append("closed completely: " + (", ".join(shut) if shut else "none"))
    return "; ".join(words) + "."


def _settings(values: Mapping[str, Value]) -> str:
    return (
        ", ".join(f"{key.removeprefix('arguments.')} {value:g}" for key, value in values.items()) or NOTHING
    )


def _narrow(title: str) -> Table:
    return Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")


def _failure_sentence(name: str, results: Results) -> str:
    failed = [failure for failure in results.failures if failure.row == name]
    seeds = ", ".join(str(failure.seed) for failure in failed)
    return f"{name} failed with {'seed' if len(failed) == 1 else 'seeds'} {seeds}: {failed[0].error}"


def _shares(runs: Sequence[Run], results: Results) -> list[str]:
    """Return the cells of a row; those of one modality alone are in percent of all fused channels too, as in Table 2."""
    one = len(runs[0].channels) == 1
    if one and not runs[0].masked:
        return [NOTHING] * (len(results.modalities) + 2)
    part = sum(runs[0].channels.values()) / _fused(results) if one else 1.0
    kept = _percent(part * interval([sum(run.complementary.values()) for run in runs]).mean)
    shares = [
        _percent(part * interval([run.complementary[name] for run in runs]).mean)
        if name in runs[0].channels
        else NOTHING
        for name in results.modalities
    ]
    if one:
        return [kept, *shares, NOTHING]
    zetas = [run.zeta for run in runs if run.zeta is not None]
    return [kept, *shares, f"{interval(zetas).mean:.2f}" if zetas else NOTHING]


def _fused(results: Results) -> int:
    return max(sum(run.channels.values()) for run in results.runs)


def score(value: Interval) -> str:
    """Return a mean and its interval."""
    return f"{value.mean:.1f}" + ("" if math.isnan(value.half_width) else f" ± {value.half_width:.1f}")


def signed(value: Interval) -> str:
    """Return a difference and its interval, with a sign."""
    return f"{value.mean:+.1f}" + ("" if math.isnan(value.half_width) else f" ± {value.half_width:.1f}")


def _percent(value: float) -> str:
    return f"{value:.0f}" if round(value, 6) in (0.0, 100.0) else f"{value:.1f}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
