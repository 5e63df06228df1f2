"""What carrying brought, in sentences, from results and from nothing else."""

from examples.results import Interval, Results, interval, paired_difference
from examples.tables import score, signed
from examples.transfer.plan import CARRIED


def gains(results: Results) -> dict[str, Interval]:
    """Return how much better each carried row is than the same row from scratch, points, on the same seeds."""
    rows = results.rows()
    return {
        name: paired_difference(runs, rows[name.removesuffix(CARRIED)])
        for name, runs in rows.items()
        if name.endswith(CARRIED) and name.removesuffix(CARRIED) in rows
    }


def sentences(results: Results) -> list[str]:
    """Return what carrying brought each row, and how the carried rows compare."""
    rows, transfer = results.rows(), results.recipe["transfer"]
    what = ", ".join(transfer["carry"])
    found = [
        f"{name.removesuffix(CARRIED)}: {signed(gain)} points with {what} carried."
        for name, gain in gains(results).items()
    ]
    carried = {name: runs for name, runs in rows.items() if name.endswith(CARRIED)}
    if len(carried) > 1:
        best = max(carried, key=lambda name: interval([run.score for run in carried[name]]).mean)
        first = score(interval([run.score for run in carried[best]]))
        others = [
            f"{signed(paired_difference(carried[best], runs))} points against {name}"
            for name, runs in carried.items()
            if name != best
        ]
        found.append(f"Best of the carried: {best}, {first} %; {', '.join(others)}.")
    return found
