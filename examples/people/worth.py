"""What the voice and the face are worth: to people, to networks trained apart, to one network; and what a mask leaves open."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from examples.data.sets.crema_d_votes import GIVEN
from examples.people.records import PeopleResults
from examples.results import Interval, interval
from maskfusion.contribution import shapley_values

SOUND, FACES = "sound", "faces"
Seeds = list[list[float]]
"""By seed, then by class."""


def of_people(results: PeopleResults, given: str) -> Seeds:
    """Return the informedness of what most raters chose.

    Args:
        results: Results.
        given: What they were given.
    """
    return [each.majority for each in results.given(given)]


def of_row(results: PeopleResults, row: str) -> Seeds:
    """Return the informedness of the networks of a row."""
    return [each.informed for each in results.row(row)]


def overall(known: Seeds) -> Interval:
    """Return the mean over the classes, with its interval over the seeds."""
    return interval([fmean(classes) for classes in known])


def by_class(known: Seeds) -> list[Interval]:
    """Return each class's own, with its interval over the seeds."""
    return [interval(values) for values in zip(*known, strict=True)]


def summary(results: PeopleResults) -> dict[str, Interval]:
    """Return what people know from each, and the networks of each row, over all classes."""
    people = {f"people, {given}": overall(of_people(results, given)) for given in GIVEN}
    rows = dict.fromkeys(each.row for each in results.networks)
    return {**people, **{f"networks, {row}": overall(of_row(results, row)) for row in rows}}


def shared_out(sound: Seeds, faces: Seeds, both: Seeds) -> Mapping[str, Seeds]:
    """Return the Shapley values of knowing from the sound, the face and both; who is given nothing knows nothing, 0."""
    players = (SOUND, FACES)
    found = [
        [
            shapley_values(players, {(): 0.0, (SOUND,): heard, (FACES,): seen, players: known})
            for heard, seen, known in zip(*seed, strict=True)
        ]
        for seed in zip(sound, faces, both, strict=True)
    ]
    return {name: [[worth[name] for worth in seed] for seed in found] for name in players}


def worth_to_people(results: PeopleResults) -> Mapping[str, Seeds]:
    """Return the Shapley values of voice and face to what most raters know."""
    return shared_out(*(of_people(results, given) for given in ("voice", "face", "both")))


def worth_apart(results: PeopleResults, both: str) -> Mapping[str, Seeds]:
    """Return those to three networks: of the sound, of the faces, and a row that has both."""
    return shared_out(*(of_row(results, row) for row in (SOUND, FACES, both)))


def worth_inside(results: PeopleResults, row: str) -> Mapping[str, Seeds]:
    """Return those that are measured on each network of a row."""
    networks = results.row(row)
    return {name: [each.shapley[name] for each in networks] for name in (SOUND, FACES)}


def balance(worth: Mapping[str, Seeds]) -> Interval:
    """Return the smaller over the larger worth, over all classes: what zeta would be if it measured worth."""
    pairs = zip(*([fmean(seed) for seed in worth[name]] for name in (SOUND, FACES)), strict=True)
    return interval([min(pair) / max(pair) for pair in pairs])


def of_sound(worth: Mapping[str, Seeds]) -> list[Interval]:
    """Return the sound's part of the worth of both, class by class, then over all, percent."""
    sound, faces = ([[*seed, fmean(seed)] for seed in worth[name]] for name in (SOUND, FACES))
    return by_class(
        [
            [100 * heard / (heard + seen) for heard, seen in zip(*seed, strict=True)]
            for seed in zip(sound, faces, strict=True)
        ]
    )


def zetas(results: PeopleResults, row: str) -> Interval:
    """Return zeta of a row; of the networks that have one."""
    return interval([each.zeta for each in results.row(row) if each.zeta is not None])


def open_of_sound(results: PeopleResults, row: str) -> Interval:
    """Return the sound's part of the open channels, percent."""
    kept: Sequence[Mapping[str, float]] = [each.kept for each in results.row(row)]
    return interval([100 * each[SOUND] / (each[SOUND] + each[FACES]) for each in kept])
