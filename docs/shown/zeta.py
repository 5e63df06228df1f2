"""What made-up data say of zeta: the tables of the page, and the numbers of its sentences."""

from collections.abc import Callable, Iterable
from functools import cache
from statistics import fmean

from docs.shown.claims import claim
from docs.shown.page import RESULTS, provenance, say, table
from examples.results import Interval
from examples.zeta import findings
from examples.zeta.records import Trial, Turned, ZetaResults

NO_ZETA = "none"
STRENGTHS = ("low", "middle", "high")


@cache
def results() -> ZetaResults:
    """Return what the experiment wrote down."""
    return ZetaResults.read(RESULTS / "zeta.json")


def lambda_of(strength: str) -> float:
    """Return lambda: "low", "middle" or "high"."""
    return dict(zip(STRENGTHS, results().weights, strict=True))[strength]


def _along(dial: str, strength: str) -> list[Interval | None]:
    return findings.zeta_along(results(), dial, lambda_of(strength))


def zeta(dial: str, strength: str, place: int) -> str:
    """Return the mean zeta at one value of a dial, with its interval."""
    return said(_along(dial, strength)[place])


def said(found: Interval | None) -> str:
    """Return a mean zeta and its interval, or that there is none."""
    return NO_ZETA if found is None else f"{found.mean:.2f}\u00a0±\u00a0{found.half_width:.2f}"


def zetas(dial: str, place: int) -> str:
    """Return `zeta` for every lambda."""
    return ", ".join(zeta(dial, strength, place) for strength in STRENGTHS)


def lambdas() -> str:
    """Return every lambda."""
    return ", ".join(f"{weight:g}" for weight in results().weights)


def rank(dial: str, strength: str) -> str:
    """Return the rank correlation of zeta with a dial."""
    return f"{findings.zeta_with_dial(results(), dial, lambda_of(strength)):.2f}"


def value(dial: str, place: int) -> str:
    """Return where a dial stands."""
    return f"{results().dials[dial].values[place]:,g}"


def balance(dial: str, place: int) -> str:
    """Return the true balance at one value of a dial."""
    return f"{results().dials[dial].truth[place].balance:.2f}"


def _mean(dial: str, strength: str, place: int, of: Callable[[Trial], float]) -> float:
    here = results().of(dial, lambda_of(strength), results().dials[dial].values[place])
    return fmean(of(trial) for trial in here)


def accuracy(dial: str, strength: str, place: int) -> str:
    """Return the mean accuracy at one value of a dial."""
    return f"{mean_accuracy(dial, place, strength):.2f}"


def mean_accuracy(dial: str, place: int, strength: str = "middle") -> float:
    """Return the same as a number."""
    return _mean(dial, strength, place, lambda trial: trial.accuracy)


def _worth(dial: str, strength: str, place: int) -> float:
    return _mean(dial, strength, place, lambda trial: trial.shapley[1])


def worth(dial: str, strength: str, place: int) -> str:
    """Return the mean Shapley value of b at one value of a dial, in accuracy."""
    return f"{_worth(dial, strength, place):.2f}"


def lost(dial: str, strength: str, place: int) -> str:
    """Return how much of its worth b has lost at one value of a dial, in accuracy."""
    return f"{_worth(dial, strength, 0) - _worth(dial, strength, place):.2f}"


def _opened(dial: str, strength: str, place: int) -> float:
    return _mean(dial, strength, place, lambda trial: results().kept(trial)[1])


def opened(dial: str, strength: str, place: int) -> str:
    """Return the open channels of b, percent of its own."""
    return f"{_opened(dial, strength, place):.0f}"


def fused(dial: str, strength: str, place: int) -> str:
    """Return the open channels of both, percent of all."""
    return f"{_mean(dial, strength, place, lambda trial: sum(results().complementary(trial))):.0f}"


def _channels() -> float:
    return _mean("redundancy", "middle", 0, lambda trial: trial.open[0])


def channels() -> str:
    """Return how many channels of a modality stay open in the plainest case."""
    return f"{_channels():.0f}"


def one_channel() -> str:
    """Return what one channel more or less is of zeta there."""
    return f"{1 / _channels():.2f}"


def smallest(dial: str, strength: str) -> str:
    """Return the smallest zeta of all networks of a dial."""
    found = [trial.zeta for trial in results().of(dial, lambda_of(strength)) if trial.zeta is not None]
    return f"{min(found):.2f}"


def most_open(strength: str) -> str:
    """Return the most channels that any network of one lambda leaves a modality."""
    return str(max(max(trial.open) for trial in results().trials if trial.weight == lambda_of(strength)))


def ranked_right() -> str:
    """Return how often the modality that is worth more has more open channels, for each lambda."""
    shares = []
    for weight in results().weights:
        right, clear = findings.ranked_right(trial for trial in results().trials if trial.weight == weight)
        shares.append(f"{100 * right / clear:.0f} % of {clear} networks (lambda = {weight:g})")
    return ", ".join(shares)


def _course() -> list[float]:
    def quarter(number: int) -> float:
        here = results().of("unique", lambda_of("low"), results().dials["unique"].values[0])
        return fmean(zeta for trial in here if (zeta := trial.course[number]) is not None)

    return [quarter(number) for number in range(4)]


def course() -> str:
    """Return zeta after each quarter of training where b is noise."""
    return ", ".join(f"{zeta:.2f}" for zeta in _course())


def spread() -> str:
    """Return the standard deviation of zeta over seeds, mean over the dials and largest, for each lambda."""
    words = []
    for weight in results().weights:
        values = [findings.spread_over_seeds(results(), dial, weight) for dial in results().dials]
        words.append(f"{fmean(values):.2f}, up to {max(values):.2f} (lambda = {weight:g})")
    return "; ".join(words)


def setting(name: str) -> str:
    """Return one setting of the experiment."""
    return f"{results().settings[name]:,g}"


def clear() -> str:
    """Return the difference of worth that counts as clear, in accuracy."""
    return f"{findings.CLEAR:g}"


def dials() -> str:
    """Return how many dials there are."""
    return str(len(results().dials))


def width() -> str:
    """Return how many channels a modality has."""
    return str(results().channels)


def networks() -> str:
    """Return how many networks were trained."""
    return f"{len(results().trials):,}"


def made() -> str:
    """Return what made the file."""
    return provenance(
        results().command, results().seconds, f"{results().machine}, beside other work", results().versions
    )


def ends() -> None:
    """Show zeta at both ends of every dial, and what it should be."""
    dials, weights = results().dials, results().weights
    head = ["dial", "true balance", *(f"λ = {weight:g}" for weight in weights)]
    lines = (
        [name, truth_of(d), *(ends_of(results(), name, w) for w in weights)] for name, d in dials.items()
    )
    say(table(head, lines))


def ends_of(found: ZetaResults, dial: str, weight: float) -> str:
    """Return zeta at both ends of a dial, and its rank correlation with it."""
    ends = findings.zeta_along(found, dial, weight)
    first, last = (NO_ZETA if end is None else f"{end.mean:.2f}" for end in (ends[0], ends[-1]))
    return f"{first} to {last} ({findings.zeta_with_dial(found, dial, weight):+.2f})"


def truth_of(turned: Turned) -> str:
    """Return the true balance at both ends of a dial, and its rank correlation with it."""
    balances = [truth.balance for truth in turned.truth]
    if len(set(balances)) == 1:
        return f"{balances[0]:.2f} (-)"
    return (
        f"{balances[0]:.2f} to {balances[-1]:.2f} ({findings.rank_correlation(turned.values, balances):+.0f})"
    )


def correlations() -> None:
    """Show how channels, zeta and worth go together over all networks of one lambda."""
    head = ["", "zeta, true balance", "compl, Shapley", "Shapley, true Shapley", "distance"]
    say(table(head, (_correlations(weight) for weight in results().weights)))


def _correlations(weight: float) -> list[str]:
    trials = [trial for trial in results().trials if trial.weight == weight]
    measures: Iterable[Callable[[ZetaResults, list[Trial]], float]] = (
        findings.zeta_with_balance,
        findings.channels_with_worth,
        findings.worth_with_truth,
        findings.distance_from_truth,
    )
    return [f"λ = {weight:g}", *(f"{of(results(), trials):.2f}" for of in measures)]


def claims() -> None:
    """Hold what the page says without a number."""
    claim("zeta rises with the size of the copy", height("copy", -1) > height("copy", 0) + 0.1)
    claim("its open channels *rise*", _opened("noise", "middle", 2) > _opened("noise", "middle", 0))
    claim("zeta falls both ways", *(height("scale", place) < height("scale", 2) - 0.1 for place in (0, -1)))
    claim("zeta stays near 1", height("synergy", -1) > 0.8, height("redundancy", 0) > 0.8)
    claim("still falling towards 0", _course()[-1] < _course()[0])
    low = [trial for trial in results().trials if trial.weight == lambda_of("low")]
    claim("most channels are still open", fmean(sum(results().complementary(trial)) for trial in low) > 60)
    claim("recommends 1e-3", lambda_of("middle") == 1e-3)


def height(dial: str, place: int) -> float:
    """Return the mean zeta at one value of a dial, with the middle lambda."""
    found = _along(dial, "middle")[place]
    return float("nan") if found is None else found.mean
