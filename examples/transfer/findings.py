"""What carrying brought, in sentences, from results and from nothing else."""

from examples.results import Interval, Results, interval, paired_difference
from examples.results.tables import score, signed
from examples.transfer.plan import CARRIED


def gains(results: Results) -> dict[tuple[str, str], Interval]:
    """Return how much better each carried row is than a row from scratch, points, on the same seeds.

    It is the same row where that was trained from scratch, else each row that was.

    Returns:
        Names of the carried row and of the one from scratch, to the difference.
    """
    rows = results.rows()
    scratch = [name for name in rows if not name.endswith(CARRIED)]
    found = {}
    for name in (name for name in rows if name.endswith(CARRIED)):
        own = name.removesuffix(CARRIED)
        for base in [own] if own in scratch else scratch:
            found[name, base] = paired_difference(rows[name], rows[base])
    return found


def sentences(results: Results) -> list[str]:
    """Return what carrying brought each row, and how the carried rows compare."""
    rows, transfer = results.rows(), results.recipe["transfer"]
    what = ", ".join(transfer["carry"])
    found = [
        f"{name}: {signed(gain)} points against {base} from scratch."
        for (name, base), gain in gains(results).items()
    ]
    found.insert(0, f"Carried: {what}.")
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
