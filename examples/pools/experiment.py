"""Pool the heads of one trained run again: without some of them, with other weights, without a modality."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from examples.data.contract import UNSCORED, Samples
from examples.errors import UserError
from examples.methods.alone_first import JoinedPooled, counts_classes
from examples.nets.model import JOINT, TOGETHER, FusionModel
from examples.pools.records import Pooled
from examples.pools.ways import (
    ALONE_ONLY,
    AS_TRAINED,
    BEST,
    EQUAL,
    NOT_JOINED,
    NOT_TOGETHER,
    ORACLE,
    OTHER_BALANCE,
    RIDGES,
    TOGETHER_ONLY,
    missing,
    missing_together,
)
from examples.run.task import metric_of
from examples.run.trained import Trained
from maskfusion import LogarithmicPool

_AT_ONCE = 64  # samples: without gradients they take little memory


@dataclass(frozen=True)
class Told:
    """What the heads say of a part of the data.

    Args:
        heads: Head to scores, ``(samples, classes, ...)``.
        target: Classes, ``(samples, ...)``.
    """

    heads: dict[str, Tensor]
    target: Tensor


def pool_again(trained: Trained) -> Pooled:
    """Return the score of the test part by every way of pooling.

    Args:
        trained: A run whose network pools a joint network with those of single modalities and one trained together.

    Raises:
        UserError: It is another kind of run, or there is no validation part.
    """
    model, data, method = trained.model, trained.data, trained.method
    if not isinstance(method, JoinedPooled) or not method.together:
        raise UserError(
            f"'{trained.folder.path}' (row '{trained.row}') pools no network trained together: give runs of 'alone_joined_pooled' with "
            "`together: true`."
        )
    if data.validation is None:
        raise UserError(
            f"`data` (='{data.name}') is split without a validation part, to which weights are fitted."
        )
    validation, test = _told(model, data.validation), _told(model, data.test)
    every = list(validation.heads)
    alone = [name for name in every if name not in (JOINT, TOGETHER)]
    balanced = counts_classes(validation.target)

    def score(pool: LogarithmicPool, part: Told) -> float:
        metric = metric_of(data)
        metric.update(pool({name: part.heads[name] for name in pool.heads}), part.target)
        return round(100 * float(metric.compute()), 4)

    def fitted(
        heads: Sequence[str] = every,
        *,
        part: Told = validation,
        ridge: float = method.ridge,
        balanced: bool = balanced,
    ) -> float:
        pool = LogarithmicPool(heads, allow_missing=False)
        chosen = {name: part.heads[name] for name in heads}
        return score(
            pool.fit(chosen, part.target, ridge=ridge, balanced=balanced, ignore_index=UNSCORED), test
        )

    best = max(every, key=lambda name: score(LogarithmicPool([name]), validation))
    scores = {
        AS_TRAINED: fitted(),
        NOT_JOINED: fitted([name for name in every if name != JOINT]),
        NOT_TOGETHER: fitted([name for name in every if name != TOGETHER]),
        ALONE_ONLY: fitted(alone),
        TOGETHER_ONLY: score(LogarithmicPool([TOGETHER]), test),
        BEST: score(LogarithmicPool([best]), test),
        EQUAL: score(LogarithmicPool(every, allow_missing=False), test),
        **{name: fitted(ridge=ridge) for name, ridge in RIDGES.items()},
        OTHER_BALANCE: fitted(balanced=not balanced),
        ORACLE: fitted(part=test),
    }
    for name in model.channels:
        scores[missing(name)] = fitted([other for other in alone if other != name])
        scores[missing_together(name)] = score(
            LogarithmicPool([TOGETHER]), _told(model, data.test, without=name)
        )
    return Pooled(row=trained.row, seed=trained.seed, scores=scores)


@torch.no_grad()
def _told(model: FusionModel, part: Samples, *, without: str = "") -> Told:
    """Return what the heads say, with one modality at its mean if wanted, which is zero."""
    said, targets = [], []
    for inputs, target in part.loader(_AT_ONCE):
        given = {name: torch.zeros_like(each) if name == without else each for name, each in inputs.items()}
        output = model(given)
        said.append({JOINT: output.joint, **output.unimodal})
        targets.append(target)
    return Told({name: torch.cat([each[name] for each in said]) for name in said[0]}, torch.cat(targets))
