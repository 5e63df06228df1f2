"""Section "Can it be made better?": the vote of all heads, and when to take it."""

from docs.shown.page import marked, say, score, table
from docs.shown.study.cases import open_channels, plain, read, studies, to_best, to_concatenation
from examples.results import Results
from examples.results.rows import mean_score

CONFIRMED = {
    "confirm-utd-depth-skeleton": "UTD-MHAD: depth, skeleton",
    "confirm-utd-skeleton-inertial": "UTD-MHAD: skeleton, inertial",
    "confirm-again-utd-skeleton-inertial": "the same, other seeds",
    "confirm-av-digits-300": "AV-digits: 300 pairs",
}
VOTES = ("uniform", "uniform-vote", "mask-uniform-vote")
CHOICE = ("mask-uniform", "mask-uniform-vote")


def confirmed() -> None:
    """Show the vote on seeds that nothing was chosen on."""
    lines = [
        [
            title,
            name,
            score(mean_score(runs)),
            marked(to_concatenation(read(file), name)),
            marked(to_best(read(file), name)),
            f"{open_channels(runs).mean:.0f}",
            len(runs),
        ]
        for file, title in CONFIRMED.items()
        for name, runs in ((name, read(file).rows().get(name)) for name in VOTES)
        if runs is not None
    ]
    head = ["", "", "accuracy", "against concatenation", "against the best alone", "open, %", "seeds"]
    say(table(head, lines))


def validation_loss(results: Results, name: str) -> float:
    """Return the validation loss of a row's chosen trial."""
    losses = (trial.loss for trial in results.trials if trial.row == name and trial.chosen)
    loss = next(losses)
    if loss is None:
        raise ValueError(f"The chosen trial of `{name}` has no validation loss.")
    return loss


def choice(results: Results) -> str:
    """Return the row that validation loss prefers: all heads vote, or the joint head answers alone."""
    return min(CHOICE, key=lambda name: validation_loss(results, name))


def decided() -> None:
    """Show what comes out where validation loss decides whether all heads vote."""
    lines = [
        [
            plain(title),
            *(f"{validation_loss(results, name):.3f}" for name in CHOICE),
            choice(results),
            marked(to_concatenation(results, choice(results))),
            marked(to_best(results, choice(results))),
        ]
        for title, results in studies().items()
    ]
    head = [
        "",
        "loss, joint head alone",
        "loss, all vote",
        "so",
        "against concatenation",
        "against the best alone",
    ]
    say(table(head, lines))
