"""What people know of CREMA-D, beside what networks know and what our readings say of them: figure, table and numbers."""

from collections.abc import Mapping
from functools import cache
from statistics import fmean

from docs.shown.claims import claim
from docs.shown.page import NOTHING, RESULTS, draw, say, table
from examples.people import figure, worth
from examples.people.figure import JOINED, MASK, OURS
from examples.people.records import PeopleResults
from examples.people.worth import FACES, SOUND, Seeds
from examples.results import Interval, interval

PEOPLE, APART = "people", "apart"


@cache
def results() -> PeopleResults:
    """Return what the command wrote down."""
    return PeopleResults.read(RESULTS / "people.json")


@cache
def shapley(of: str) -> Mapping[str, Seeds]:
    """Return the worth of both to people, to networks trained apart, or inside the networks of a row."""
    if of == PEOPLE:
        return worth.worth_to_people(results())
    return worth.worth_apart(results(), OURS) if of == APART else worth.worth_inside(results(), of)


def picture() -> None:
    """Draw the figure."""
    draw(figure.draw, results())


def readings() -> None:
    """Show what voice and face are worth, to whom, beside open channels and zeta."""
    rows = {
        "to most people": PEOPLE,
        "to networks trained apart": APART,
        "inside the network under a mask": MASK,
        "inside *alone, joined, pooled*": OURS,
    }
    head = ["", "voice", "face", "smaller over larger", "open of voice, %", "of face, %", "zeta"]
    say(table(head, ([words, *_readings(of)] for words, of in rows.items())))


def _readings(of: str) -> list[str]:
    found = [_two(worth.overall(shapley(of)[name])) for name in (SOUND, FACES)]
    found.append(_two(worth.balance(shapley(of))))
    if of in (PEOPLE, APART):
        return [*found, *[NOTHING] * 3]
    shares = (interval([each.kept[name] for each in results().row(of)]) for name in (SOUND, FACES))
    return [*found, *(f"{share.mean:.0f}\u00a0±\u00a0{share.half_width:.0f}" for share in shares), zeta(of)]


def informed(of: str, emotion: str = "") -> str:
    """Return how much people know who are given something, or the networks of a row; of one emotion, or of all."""
    known = _known(of)
    return _two(worth.by_class(known)[results().classes.index(emotion)] if emotion else worth.overall(known))


def balance(of: str) -> str:
    """Return the smaller over the larger worth."""
    return _two(worth.balance(shapley(of)))


def voice(of: str) -> str:
    """Return the voice's part of the worth of both, percent."""
    return _percent(_part(of))


def voice_open() -> str:
    """Return the voice's part of the open channels of the network under a mask, percent."""
    return _percent(worth.open_of_sound(results(), MASK))


def zeta(of: str = MASK) -> str:
    """Return zeta of a row."""
    return _two(worth.zetas(results(), of))


def clips() -> str:
    """Return about how many clips each test part has."""
    return f"{round(fmean(each.clips for each in results().given('voice')), -1):,.0f}"


def command() -> str:
    """Return the command that made the file."""
    return f"`{results().command}`"


def _known(of: str) -> Seeds:
    rows = {each.row for each in results().networks}
    return worth.of_row(results(), of) if of in rows else worth.of_people(results(), of)


def _part(of: str, emotion: str = "") -> Interval:
    return worth.of_sound(shapley(of))[results().classes.index(emotion) if emotion else -1]


def _mean(of: str, emotion: str) -> float:
    return worth.by_class(_known(of))[results().classes.index(emotion)].mean


def _two(value: Interval) -> str:
    return f"{value.mean:.2f}\u00a0±\u00a0{value.half_width:.2f}"


def _percent(value: Interval) -> str:
    return f"{value.mean:.0f}\u00a0±\u00a0{value.half_width:.0f}\u00a0%"


def claims() -> None:
    """Hold what the page says in words."""
    people, apart, inside = (_part(of) for of in (PEOPLE, APART, MASK))
    claim(
        "the face is worth more than the voice, to people and to networks",
        *(part.mean + part.half_width < 45 for part in (people, apart, inside)),
    )
    claim(
        "what is measured inside one network agrees with networks trained apart",
        abs(inside.mean - apart.mean) < apart.half_width + inside.half_width,
    )
    channels = worth.open_of_sound(results(), MASK)
    claim(
        "the channels say something else",
        channels.mean - channels.half_width
        > max(part.mean + part.half_width for part in (people, apart, inside)),
    )
    claim("close to one", worth.zetas(results(), MASK).mean > 0.75)
    for of in (APART, MASK):
        most = sorted(results().classes, key=lambda emotion: _part(of, emotion).mean)[-2:]
        claim("anger and sadness are where the voice counts most", set(most) == {"anger", "sad"})
    claim("a happy face needs no voice", *(_mean(of, "happy") > 0.9 for of in ("face", FACES)))
    claim(
        "people hear anger best",
        *(_mean("voice", "anger") > _mean("voice", each) for each in ("neutral", "fear")),
    )
    claim("as well as people", abs(_mean("voice", "anger") - _mean(SOUND, "anger")) < 0.1)
    claim("networks hear sadness that people do not", _mean(SOUND, "sad") > _mean("voice", "sad") + 0.15)
    for emotion in ("neutral", "fear"):
        claim(
            f"people hear {emotion}, networks do not", _mean("voice", emotion) > _mean(SOUND, emotion) + 0.15
        )
    claim(
        "hardly more than the votes",
        worth.overall(_known(JOINED)).mean - worth.overall(_known(FACES)).mean < 0.03,
    )
