"""People and one trained network, asked about the clips of the same test part."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from examples.data.place import Place
from examples.data.sets.crema_d_votes import GIVEN, read_votes
from examples.errors import UserError
from examples.people.informed import answers, informedness, majority, opinions
from examples.people.records import Network, Raters
from examples.results.statistics import finite
from examples.run.trained import Trained
from maskfusion import ComplementarityTracker
from maskfusion.contribution import Contributions, measure_contributions

DATA = "crema-d-votes"
"""The data set whose clips people have judged."""
_DIGITS = 5
_BATCH = 256


def expect_judged(data: str, options: Sequence[object]) -> None:
    """Refuse runs whose clips nobody has judged, and runs of different options.

    Args:
        data: Name of the data set of a run.
        options: Options of the loader of each run.
    """
    if data != DATA:
        raise UserError(f"`runs` must be of '{DATA}', whose clips people have judged; one is of '{data}'.")
    if any(each != options[0] for each in options):
        raise UserError(
            "`runs` must have the same `data_options`, so that they are asked about the same clips."
        )


def ask_people(trained: Trained, place: Place) -> list[Raters]:
    """Return what raters know of the test part of a run.

    Args:
        trained: The run.
        place: Folder of the votes.
    """
    data = trained.data
    names = [data.names[position] for position in data.split.test]
    target = data.test.target.numpy()
    votes = read_votes(place, names)
    return [
        Raters(
            seed=trained.seed,
            given=given,
            clips=len(names),
            majority=_rounded(informedness(opinions(majority(chosen), target))),
            single=_rounded(informedness(opinions(chosen / chosen.sum(axis=1, keepdims=True), target))),
        )
        for given, chosen in zip(GIVEN, votes.transpose(1, 0, 2), strict=True)
    ]


def ask_network(trained: Trained) -> Network:
    """Return what a network knows of its test part, and what its modalities and channels are worth."""
    model, classes = trained.model, len(trained.data.classes)
    found = [_contributions(trained, _informed(number, classes)) for number in range(classes)]
    several = len(model.channels) > 1
    tracker = None if model.mask is None else ComplementarityTracker(model.mask)
    return Network(
        row=trained.row,
        seed=trained.seed,
        modalities=list(model.channels),
        informed=_rounded([each.with_all for each in found]),
        shapley={
            name: _rounded([each.shapley[name] for each in found])
            for name in (model.channels if several else ())
        },
        kept={} if tracker is None else tracker.kept(),
        zeta=None if tracker is None else finite(tracker.zeta()),
    )


def _contributions(trained: Trained, metric: Callable[[Tensor, Tensor], float]) -> Contributions:
    batches = ((batch.inputs, batch.target) for batch in trained.data.test.loader(_BATCH))
    return measure_contributions(trained.model, batches, metric=metric, call=_classes)


def _classes(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    said: Tensor = model(inputs).prediction.argmax(1)
    return said


def _informed(number: int, classes: int) -> Callable[[Tensor, Tensor], float]:
    """Return the metric that is the informedness of one class."""

    def score(said: Tensor, target: Tensor) -> float:
        return float(informedness(answers(said.numpy(), target.numpy(), classes))[number])

    return score


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]
