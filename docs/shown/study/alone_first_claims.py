"""What the page says of networks trained alone first, held against the files."""

from statistics import fmean

from docs.shown.claims import claim
from docs.shown.page import compared
from docs.shown.study.alone_first import (
    APART,
    AV,
    CONFIRMS,
    DIGITS,
    FEW,
    FIELDS,
    HELPS,
    HURTS,
    LONG,
    LONGER,
    OURS,
    PENN,
    ROOMS,
    ROWS,
    SURELY,
    UNSEEN,
    cases,
)
from docs.shown.study.cases import plain, read
from docs.shown.study.start import start_claims
from docs.shown.study.tried import tried_claims
from docs.shown.study.tuned import tuned_claims
from examples.results import Results, interval
from examples.results.rows import against, best_alone, mean_score

JOINED = ("concatenation", LONGER, LONG)


def joining_claims() -> None:
    """Hold what the page says of these cases."""
    for name in SURELY:
        for row in JOINED:
            claim(f"joining costs points, longer too: {name}, {row}", _to_best(read(name), row) == "worse")
    for title, results in cases().items():
        better = [row for row in (*ROWS, *results.modalities) if compared(results, row, OURS) == "better"]
        claim(f"no other row is better than ours beyond its interval: {title}, {better}", not better)
    for name in HURTS:
        claim(
            f"better than concatenation of equal time: {name}", compared(read(name), OURS, LONG) == "better"
        )
    for name in HELPS:
        claim(f"joining brings points: {name}", *(_to_best(read(name), row) != "worse" for row in JOINED))
        claim(f"joining brings points: {name}", "better" in [_to_best(read(name), row) for row in JOINED])
    for name in ("hurts-grid-10db", "hurts-grid-5db"):
        claim(f"better than the mouth alone: {name}", compared(read(name), OURS, "video") == "better")
    for name in SURELY:
        lost = [row for row in ("ogm-ge", "uniform-vote") if _to_best(read(name), row) != "worse"]
        claim(f"nor do OGM-GE and a vote: {name}, {lost}", not lost)
    _parts()
    _unseen()
    _fields()
    _mask()
    start_claims()
    tried_claims()
    tuned_claims()


def _parts() -> None:
    """Hold what the page says of the parts of ours."""
    noisy = read("hurts-grid-10db")
    for name in HURTS:
        claim(
            f"the pool alone is level with the best: {name}",
            _to_best(read(name), "pooled-experts") != "worse",
        )
    claim(
        "the pool alone is behind on the noisy letters", compared(noisy, OURS, "pooled-experts") == "better"
    )
    for title, results in cases().items():
        claim(f"no accuracy by the mask: {title}", compared(results, APART, "joined-pooled") == "even")
        how = compared(results, APART, "concatenation")
        claim(f"loses on CWFID only: {title}", (how == "worse") == (results is read(FIELDS)))


def _unseen() -> None:
    """Hold what the page says of the cases that nothing was chosen on."""
    for name in UNSEEN:
        how = "even" if name == DIGITS else "better"
        claim(f"nothing was chosen on it, {how}: {name}", _to_best(read(name), OURS) == how)
    claim("the votes are the best alone", best_alone(read(CONFIRMS)) == "faces")
    claim("the pose is the best alone", best_alone(read(PENN)) == "pose")
    claim("the sound is the best alone", best_alone(read(AV)) == "sound")
    few = read(FEW)
    for row in ("concatenation", LONGER, "pooled-experts", APART):
        claim(f"few actors cannot tell: {row}", compared(few, row, "faces") == "even")


def _fields() -> None:
    """Hold what the page says of the case with a class for each pixel."""
    fields = read(FIELDS)
    claim("near infrared is the best alone", best_alone(fields) == "nir")
    for base, how in (("nir", "better"), ("concatenation", "worse"), ("joined", "even")):
        claim(f"without the network trained together {how} than {base}", compared(fields, APART, base) == how)
    for row in ("joined", "pooled-experts", "uniform-vote"):
        claim(f"worse than concatenation: {row}", compared(fields, row, "concatenation") == "worse")
    for base, how in (("nir", "better"), ("concatenation", "even"), (LONG, "even"), (APART, "better")):
        claim(f"ours is {how} against {base}", compared(fields, OURS, base) == how)
    gained = against(fields, OURS, APART)
    claim("it lost three points on CWFID without", gained is not None and round(gained.mean) == 3)
    rooms = read(ROOMS)
    claim("depth is worth more than color there too", compared(rooms, "depth", "color") == "better")
    for base, how in (
        ("depth", "better"),
        ("concatenation", "even"),
        ("pooled-experts", "better"),
        (LONG, "even"),
    ):
        claim(f"on NYUv2 ours is {how} against {base}", compared(rooms, OURS, base) == how)


def _mask() -> None:
    """Hold what the page says of the mask of ours, and of the noisy microphone."""
    noisy = read("hurts-grid-10db")
    claim("next to nothing", mean_score(noisy.rows()["sound"]).mean < 12)
    for title, results in cases().items():
        for name in results.modalities:
            kept = interval([run.kept[name] for run in results.rows()[OURS]]).mean
            noise = name == "sound" and "snr" in results.recipe["data_options"]
            closes = noise or results in (read(CONFIRMS), read(PENN), read(FIELDS)) or name == "image"
            claim(
                f"it closes the noisy microphone, all on CREMA-D, Penn Action and CWFID, digits' images, and hardly anything else: "
                f"{plain(title)}, {name}",
                kept < 95 if closes else kept > 98,
            )
    pose, box, visibility = (
        fmean(run.kept[name] for run in read(PENN).rows()[OURS]) for name in ("pose", "box", "visibility")
    )
    claim("most of what is worth least is closed", pose > box > visibility, visibility < 65)


def _to_best(results: Results, row: str) -> str:
    return compared(results, row, best_alone(results) or "")
