"""What made-up data say of zeta where Omega learns from samples that the weights do not see, without a penalty."""

from collections.abc import Callable
from functools import cache
from statistics import fmean

from docs.shown import zeta
from docs.shown.claims import claim
from docs.shown.page import RESULTS, provenance, say, table
from examples.zeta import findings
from examples.zeta.records import Trial, ZetaResults


@cache
def results() -> ZetaResults:
    """Return what the experiment wrote down."""
    return ZetaResults.read(RESULTS / "zeta-held-out.json")


def ends() -> None:
    """Show zeta at both ends of every dial, beside that of the middle lambda on all samples."""
    found, middle = results(), zeta.lambda_of("middle")
    lines = (
        [
            name,
            zeta.truth_of(dial),
            zeta.ends_of(zeta.results(), name, middle),
            zeta.ends_of(found, name, 0.0),
        ]
        for name, dial in found.dials.items()
    )
    head = ["dial", "true balance", f"all samples, λ = {middle:g}", "held-out samples, no λ"]
    say(table(head, lines), provenance(found.command, found.seconds, found.machine, found.versions))


def share() -> str:
    """Return the share of the training samples that is held out, percent."""
    return f"{100 * results().settings['held_out']:.0f}"


def zeta_at(dial: str, place: int) -> str:
    """Return the mean zeta at one value of a dial, with its interval."""
    return zeta.said(findings.zeta_along(results(), dial, 0.0)[place])


def accuracy(dial: str, place: int) -> str:
    """Return the mean accuracy there."""
    return f"{_accuracy(dial, place):.2f}"


def opened(dial: str, place: int) -> str:
    """Return the open channels of b there, percent of its own."""
    return f"{_opened(dial, place):.0f}"


def _zeta(dial: str, place: int) -> float:
    found = findings.zeta_along(results(), dial, 0.0)[place]
    return float("nan") if found is None else found.mean


def _accuracy(dial: str, place: int) -> float:
    return _mean(dial, place, lambda trial: trial.accuracy)


def _opened(dial: str, place: int) -> float:
    return _mean(dial, place, lambda trial: results().kept(trial)[1])


def _mean(dial: str, place: int, of: Callable[[Trial], float]) -> float:
    return fmean(of(trial) for trial in results().of(dial, 0.0, results().dials[dial].values[place]))


def claims() -> None:
    """Hold what the page says without a number."""
    claim("there is no penalty", results().weights == [0.0])
    noisy, copied = _zeta("noise", 2), _zeta("copy", -1)
    claim("noise closes, a copy does not", noisy < 0.3, copied > 0.9)
    claim("on all samples it does not tell", zeta.height("noise", 2) > zeta.height("copy", -1))
    claim("accuracy is higher", _accuracy("noise", 2) > zeta.mean_accuracy("noise", 2) + 0.01)
    claim("conflict closes b too", _opened("conflict", 2) < 20)
    claim("what does no harm stays open", _zeta("unique", 0) > 0.4)
    ranks = [
        findings.zeta_with_dial(found, "unique", weight)
        for found, weight in ((results(), 0.0), (zeta.results(), zeta.lambda_of("middle")))
    ]
    claim("worse than with a penalty", ranks[0] < ranks[1] - 0.2)
    for place in (0, -1):
        claim("the unit matters less", _zeta("scale", place) > zeta.height("scale", place) + 0.2)
    spreads = [
        fmean(findings.spread_over_seeds(found, dial, weight) for dial in found.dials)
        for found, weight in ((results(), 0.0), (zeta.results(), zeta.lambda_of("middle")))
    ]
    claim("seeds differ more", spreads[0] > spreads[1])
