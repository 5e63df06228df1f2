"""The studies by title, and what is asked of them again and again."""

from functools import cache
from statistics import fmean

from docs.shown.page import RESULTS, points
from examples.results import Interval, Results, Run, interval
from examples.results.rows import against, best_alone, concatenation

TITLES = {
    "utd-depth-skeleton": "UTD-MHAD:\ndepth, skeleton",
    "utd-skeleton-inertial": "UTD-MHAD:\nskeleton, inertial",
    "utd-all": "UTD-MHAD:\nall three",
    "av-digits-300": "AV-digits:\n300 pairs",
    "av-digits-3000": "AV-digits:\n3,000 pairs",
    "penn-action": "Penn Action:\npose, box, visibility",
    "cwfid": "CWFID:\nnir, red",
}
RIVALS = (
    "feature-dropout",
    "feature-dropout-published",
    "modality-dropout",
    "gated-raw",
    "gated",
    "uniform",
    "ogm",
    "ogm-ge",
    "pmr",
    "weakest-first",
    "mmpareto",
    "blending-offline",
    "blending-online",
    "uniform-vote",
)
OURS = (
    "mask-no-penalty",
    "mask",
    "vq-concatenation",
    "vq-mask-no-penalty",
    "vq-mask",
    "mask-strong",
    "mask-uniform",
    "mask-strong-uniform",
    "mask-uniform-vote",
)


@cache
def read(name: str) -> Results:
    """Return one file of the study."""
    return Results.read(RESULTS / "study" / f"{name}.json")


def studies() -> dict[str, Results]:
    """Return every study by its title, which has two lines."""
    return {title: read(name) for name, title in TITLES.items()}


def titles() -> list[str]:
    """Return the titles, each on one line."""
    return [plain(title) for title in TITLES.values()]


def plain(title: str) -> str:
    """Return a title on one line."""
    return title.replace("\n", " ")


def everywhere() -> list[str]:
    """Return all rows that are in any study, rivals first, without the single modalities and concatenation."""
    there = {name for results in studies().values() for name in results.rows()}
    return [name for name in (*RIVALS, *OURS) if name in there]


def to_concatenation(results: Results, row: str) -> Interval | None:
    """Return a row's paired difference to concatenation."""
    base = concatenation(results)
    return None if base is None else against(results, row, base)


def to_best(results: Results, row: str) -> Interval | None:
    """Return a row's paired difference to the best modality alone."""
    base = best_alone(results)
    return None if base is None else against(results, row, base)


def open_channels(runs: list[Run]) -> Interval:
    """Return the open channels of all modalities, percent of the fused space."""
    return interval([sum(run.complementary.values()) for run in runs])


def own_share(runs: list[Run], modality: str) -> float:
    """Return the open channels of one modality, percent of its own."""
    return fmean(run.kept[modality] for run in runs)


def difference(study: str, row: str) -> str:
    """Return a row's paired difference to concatenation as the page writes it."""
    return points(to_concatenation(read(study), row))


def thirty() -> Interval:
    """Return what the vote gains on skeleton and wrist sensor over the seeds of both confirmations."""
    first, again = (read(f"confirm-{name}utd-skeleton-inertial") for name in ("", "again-"))
    return interval(
        [
            run.score - base.score
            for results in (first, again)
            for run, base in zip(
                results.rows()["mask-uniform-vote"], results.rows()["concatenation"], strict=True
            )
        ]
    )


def of_thirty() -> str:
    """Return `thirty` as the page writes it."""
    return points(thirty())


def missed() -> str:
    """Return by how many points the vote missed its interval on the first ten seeds."""
    found = to_concatenation(read("confirm-utd-skeleton-inertial"), "mask-uniform-vote")
    return "-" if found is None else f"{found.half_width - found.mean:.3f}"


def swept_seeds() -> str:
    """Return how many seeds the sweep has."""
    return str(read("sweep").recipe["seeds"])
