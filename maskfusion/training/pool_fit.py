"""The weights of a logarithmic pool: a convex problem in as many unknowns as there are heads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from maskfusion._typing import Float, Int

PIECE = 2**16
"""Numbers of one head that are looked at together, in float64."""
CLOSE = 1e-10
"""A step that promises less is the last one."""
EDGE = 1e-6
"""A weight below that wants to go on falling is on its way to zero."""

Summed = Callable[..., tuple[Tensor, ...]]
"""Tensors -> their sums over all processes."""
Pieces = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""Goes once through scores and targets, some samples at a time."""


class Bowl(NamedTuple):
    """The objective at some weights."""

    height: Float[Tensor, ""]
    slope: Float[Tensor, " heads"]
    curvature: Float[Tensor, "heads heads"]


def fitted(
    scores: Sequence[Tensor],
    target: Tensor,
    sets: Sequence[Sequence[int]],
    summed: Summed,
    *,
    ridge: float,
    balanced: bool,
    ignore_index: int,
) -> tuple[list[Tensor], Float[Tensor, " heads"], int]:
    """The weights of the pool of each set of heads, the spread of each head's log-probabilities, and how many targets there were.

    In ``sets`` each head by itself comes before the larger ones that have it.
    """
    kept = target != ignore_index
    count, samples = map(int, summed(kept.sum(), kept[:, None].flatten(1).any(1).sum()))
    if not count:
        raise ValueError(
            f"`target` has nothing to fit on: it is empty, or all of it is `ignore_index` (={ignore_index})."
        )

    def solved(pieces: Pieces, scale: Tensor, importance: Tensor) -> Tensor:
        def bowl(weight: Tensor) -> Bowl:
            sums = summed(*_sums(weight * scale, importance, pieces()))
            height, slope, curvature = (each / samples for each in sums)
            slope, curvature = scale * slope, scale * curvature * scale[:, None]
            away = weight - 1 / len(weight)
            return Bowl(
                height + ridge / 2 * away.square().sum(),
                slope + ridge * away,
                curvature + ridge * torch.eye(len(weight)).to(curvature),
            )

        return scale * lowest(bowl, torch.full_like(scale, 1 / len(scale)))

    alike = torch.ones(scores[0].shape[1], dtype=torch.float64, device=target.device)
    importance = _rarity(*summed(torch.bincount(target[kept], minlength=len(alike)))) if balanced else alike
    alone = alike.new_ones(len(scores))
    rows = []
    for heads in sets:
        pieces = partial(_pieces, [scores[head] for head in heads], target, ignore_index)
        if len(heads) == 1:
            row = solved(pieces, alike[:1], alike)
            alone[heads[0]] = row[0]
        else:
            row = solved(pieces, alone[list(heads)], importance)
            if balanced:
                row = row * solved(partial(_pooled, row, pieces), alike[:1], alike)
        rows.append(row)
    squares = torch.stack(
        [
            (chosen - chosen.mean(1, keepdim=True)).square().mean(1).sum(1)
            for chosen, _ in _pieces(scores, target, ignore_index)
        ]
    )
    (total,) = summed(squares.sum(0))
    return rows, (total / count).sqrt(), count


def lowest(bowl: Callable[[Tensor], Bowl], start: Float[Tensor, " heads"]) -> Float[Tensor, " heads"]:
    """Where a strictly convex function of weights that are not negative is lowest.

    Reference: Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM J. Control Optim. 1982.
    """
    weight, here, promise = start, bowl(start), torch.inf
    while promise >= CLOSE:
        pinned = (weight <= EDGE) & (here.slope > 0)
        apart = torch.where(pinned[:, None] | pinned, here.curvature.diag().diag(), here.curvature)
        step = -torch.linalg.solve(apart, here.slope)
        weight, here, promise = _halved(bowl, weight, here, step, pinned)
    return weight


def _halved(
    bowl: Callable[[Tensor], Bowl], weight: Tensor, here: Bowl, step: Tensor, pinned: Tensor
) -> tuple[Tensor, Bowl, float]:
    """The longest of the step, its half, its quarter and so on that keeps what it promises, and its promise.

    Of one that is the last, for it promises too little, nobody looks where it leads.
    """
    while True:
        trial = (weight + step).clamp(min=0)
        promise = -float((here.slope * torch.where(pinned, trial - weight, step)).sum())
        if not promise >= CLOSE:
            return trial, here, promise
        there = bowl(trial)
        if not there.height > here.height - 1e-4 * promise + 1e-14 * here.height.abs():
            return trial, there, promise
        step = step / 2


def _sums(
    weight: Tensor, importance: Tensor, pieces: Iterator[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Negative log-likelihood of all targets, its gradient and its Hessian, each target as important as its class."""
    height = weight.new_zeros(())
    slope = torch.zeros_like(weight)
    curvature = weight.new_zeros(len(weight), len(weight))
    for chosen, target in pieces:
        counts = importance[target]
        pooled = torch.tensordot(weight, chosen, 1).log_softmax(0)
        share = pooled.exp()
        mean = (chosen * share).sum(1)
        height -= (pooled.gather(0, target[None]) * counts).sum()
        slope += ((mean - chosen.gather(1, target.expand(len(weight), 1, -1)).squeeze(1)) * counts).sum(1)
        around = ((chosen - mean[:, None]) * (share * counts).sqrt()).flatten(1)
        curvature += around @ around.T
    return height, slope, curvature


def _rarity(counts: Int[Tensor, " classes"]) -> Float[Tensor, " classes"]:
    """How often a target of each class counts if every class that occurs is to count the same, and a target once on average."""
    found = counts > 0
    return torch.where(found, counts.sum().double() / (counts.clamp(min=1) * found.sum()), 0.0)


def _pooled(weight: Tensor, pieces: Pieces) -> Iterator[tuple[Tensor, Tensor]]:
    """The pool of all heads, as one head."""
    for chosen, target in pieces():
        yield torch.tensordot(weight, chosen, 1)[None], target


def _pieces(
    scores: Sequence[Tensor], target: Tensor, ignore_index: int
) -> Iterator[tuple[Float[Tensor, "heads classes targets"], Int[Tensor, " targets"]]]:
    """Scores and targets, some samples at a time, without what is ignored."""
    samples = max(1, PIECE // max(1, scores[0][:1].numel()))
    for *parts, wanted in zip(*(torch.split(each, samples) for each in (*scores, target)), strict=True):
        kept = (wanted.flatten() != ignore_index).nonzero().squeeze(1)
        chosen = torch.stack([part.movedim(1, 0).flatten(1).index_select(1, kept) for part in parts])
        yield chosen.double(), wanted.flatten()[kept].long()


def expect_scores(scores: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """See that all heads give real numbers of one shape."""
    first = next(iter(scores))
    for name, each in scores.items():
        if not isinstance(each, Tensor):
            raise TypeError(f"`scores[{name!r}]` must be a tensor, got {type(each).__name__}.")
        if not each.is_floating_point():
            raise TypeError(f"`scores[{name!r}]` of dtype {each.dtype} must be floating point.")
        if each.ndim < 2 or each.shape[1] < 2:
            raise ValueError(
                f"`scores[{name!r}]` of shape {tuple(each.shape)} must be (batch, classes, *spatial) with two classes or more; one score per "
                f"sample becomes two with torch.stack([torch.zeros_like(score), score], dim=1)."
            )
        if each.shape != scores[first].shape:
            raise ValueError(
                f"`scores[{name!r}]` of shape {tuple(each.shape)} must have the shape of `scores[{first!r}]`, {tuple(scores[first].shape)}: "
                f"all heads tell the same classes of the same samples."
            )
    return scores


def expect_target(scores: Mapping[str, Tensor], target: object, ignore_index: int) -> None:
    """See that the targets are classes of these scores, and that no score is NaN or inf."""
    batch, classes, *spatial = next(iter(scores.values())).shape
    shape = (batch, *spatial)
    if not isinstance(target, Tensor):
        raise TypeError(f"`target` must be a tensor, got {type(target).__name__}.")
    if target.is_floating_point() or target.dtype == torch.bool:
        raise TypeError(f"`target` of dtype {target.dtype} must be integers: the classes.")
    if target.shape != shape:
        raise ValueError(
            f"`target` of shape {tuple(target.shape)} must have the shape of the scores without classes, {shape}."
        )
    kept = target[target != ignore_index]
    if kept.numel() and not 0 <= kept.min() <= kept.max() < classes:
        raise ValueError(
            f"`target` from {int(kept.min())} to {int(kept.max())} must lie in [0, {classes}), or be `ignore_index` (={ignore_index})."
        )
    for name, each in scores.items():
        bad = int((~each.isfinite()).any(1).sum())
        if bad:
            raise ValueError(
                f"`scores[{name!r}]` has NaN or inf in {bad} of {target.numel()} places. Nothing was changed; look for NaN in the network of "
                f"that head, and give a class that is ruled out a score that is low and finite."
            )
