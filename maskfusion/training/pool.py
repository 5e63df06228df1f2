"""Several heads' scores made one prediction, with weights that validation outputs have set."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch import distributed as dist
from typing_extensions import override

from maskfusion._checks import expect_int, expect_number
from maskfusion._processes import Processes
from maskfusion._state import LastingState
from maskfusion._typing import Float, Int
from maskfusion.training.pool_fit import expect_scores, expect_target, fitted

MOST = 8
"""Heads of one pool that may be missing: it is fitted for every set of them, and there are 255 sets of 8."""


class LogarithmicPool(LastingState):
    r"""Pool the scores of several heads, with weights fitted on validation data.

    .. math:: p(c) \propto \prod_k p_k(c)^{w_k}, \qquad w_k \geq 0

    The heads are classifiers: a network for each modality alone, a joint one, or the heads of one network. ``fit``
    finds the weights. Their sum is not fixed, so they also set the temperature of the pool. Before ``fit`` all are equal and their sum is 1.

    A head may be missing at prediction, for example with its modality: ``fit`` also finds weights for every smaller set of
    heads, and the prediction then uses those. Where none ever is, ``allow_missing=False`` saves most of the fit.

    The weights are buffers, not parameters. In the forward pass gradients go to the scores, and NaN in the scores goes to the output.

    Args:
        heads: Names of the heads, at most 8 where they may be missing.
        allow_missing: Whether heads may be missing at prediction.
        process_group: Processes whose validation outputs are fitted together, where there are several; None for all.

    Shape:
        - Input: mapping of head to scores, each ``(batch, classes, *spatial)``: logits or log-probabilities, but not probabilities
        - Output: log-probabilities ``(batch, classes, *spatial)``, in the dtype of the scores, computed in float32 at least

    Raises:
        TypeError: If a name is no string; in a call, if scores are no tensors of real numbers.
        ValueError: If names are missing, too many or twice the same; in a call, if a name is unknown, no head is there, or shapes differ.

    Examples:
        >>> target = torch.tensor([0, 1, 2, 0])
        >>> good, noise = 3.0 * torch.eye(3)[target], torch.eye(3)[target.flip(0)]
        >>> pool = LogarithmicPool(["video", "sound"]).fit({"video": good, "sound": noise}, target)
        >>> pool.shares["video"] > pool.shares["sound"]
        True
        >>> pool({"video": good, "sound": noise}).shape, pool({"sound": noise}).shape
        (torch.Size([4, 3]), torch.Size([4, 3]))

    Reference: the logarithmic opinion pool, Genest and Zidek, Statistical Science 1986; its weights by maximum likelihood, Heskes,
    NeurIPS 1997.
    """

    weight: Tensor
    spread: Tensor
    fitted_on: Tensor

    def __init__(
        self,
        heads: Iterable[str],
        *,
        allow_missing: bool = True,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.heads = _expect_heads(heads, allow_missing)
        self.allow_missing = allow_missing
        self._processes = Processes(process_group)
        sets = 2 ** len(self.heads) - 1 if allow_missing else 1
        self.register_buffer("weight", torch.empty(sets, len(self.heads), dtype=torch.float32))
        self.register_buffer("spread", torch.empty(len(self.heads), dtype=torch.float32))
        self.register_buffer("fitted_on", torch.empty((), dtype=torch.float32))
        self.reset_parameters()

    @torch.no_grad()
    def fit(
        self,
        scores: Mapping[str, Float[Tensor, "batch classes *spatial"]],
        target: Int[Tensor, "batch *spatial"],
        *,
        ridge: float = 0.01,
        balanced: bool = False,
        ignore_index: int = -100,
    ) -> "LogarithmicPool":
        r"""Fit the weights to the scores of all heads on validation samples, which no head should have been trained on.

        .. math:: \min_{w \geq 0} \; \frac{1}{N} \sum_n \sum_i -\log p(y_{ni}) + \frac{r}{2} \sum_k \Bigl(\frac{w_k}{a_k} - \frac{1}{K}\Bigr)^2

        n counts samples and i the pixels of one, where there are several.
        :math:`a_k` is the weight of head k in a pool of its own, fitted first with :math:`a = 1`. It is the head's inverse temperature, so the
        ridge pulls towards an equal vote of calibrated heads, however confident each is. The problem is convex, and Newton's method solves
        it in float64, in pieces that keep memory small.

        With ``balanced`` every class that occurs counts the same, however many targets it has: for a score that does so too, as mean IoU and
        balanced accuracy do. The sum of the weights, which changes no predicted class, is then fitted to all targets as they are, so that the
        probabilities stay calibrated.

        Under ``torch.distributed`` every process calls this, each with its own part of the validation data, and all get the same weights.

        Args:
            scores: Scores of every head, as in a call.
            target: Classes, each in [0, classes).
            ridge: Strength of the pull towards equal weights, r, against the loss of one sample; it matters when there are few.
            balanced: Whether every class counts the same, rather than every target.
            ignore_index: Target value to leave out.

        Returns:
            The pool itself.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If a head is missing or unknown, shapes do not fit, scores have NaN or inf, a target is out of its range, or
                nothing is left to fit on. The weights are then as they were.
        """
        ridge = expect_number("ridge", ridge, above=0.0)
        ignore_index = expect_int("ignore_index", ignore_index)
        given = self._given(scores)
        if missing := [name for name in self.heads if name not in given]:
            raise ValueError(f"`scores` lacks {missing}: a fit needs every head.")
        expect_target(given, target, ignore_index)
        sets = self._sets()
        rows, spread, count = fitted(
            list(given.values()),
            target,
            sets,
            self._processes.summed,
            ridge=ridge,
            balanced=balanced,
            ignore_index=ignore_index,
        )
        kept = slice(-len(self.weight), None)
        for row, heads, weights in zip(self.weight, sets[kept], rows[kept], strict=True):
            row[heads] = len(heads) * weights.to(row)
        self.spread.copy_(spread)
        self.fitted_on.fill_(count)
        return self

    @override
    def forward(
        self, scores: Mapping[str, Float[Tensor, "batch classes *spatial"] | None]
    ) -> Float[Tensor, "batch classes *spatial"]:
        """Return the log-probabilities of the pool.

        Args:
            scores: Scores by head. A head that is missing, or None, is left out of the pool.
        """
        given = self._given(scores)
        if not self.allow_missing and (missing := [name for name in self.heads if name not in given]):
            raise ValueError(
                f"`scores` lacks {missing}: this pool was made with `allow_missing=False`. Make and fit one without that."
            )
        dtype = reduce(torch.promote_types, (each.dtype for each in given.values()))
        within = torch.promote_types(dtype, torch.float32)
        places = [self.heads.index(name) for name in given]
        row = sum(1 << place for place in places) - 1 if self.allow_missing else 0
        weight = self.weight[row].to(within) / len(places)
        mixed = [
            weight[place] * each.log_softmax(1, within)
            for place, each in zip(places, given.values(), strict=True)
        ]
        return reduce(add, mixed).log_softmax(1).to(dtype)

    @property
    def weights(self) -> dict[str, float]:
        """Factors of the heads' log-probabilities in the pool of all; 1 over their sum is the temperature of the pool."""
        return dict(zip(self.heads, (self.weight[-1] / len(self.heads)).tolist(), strict=True))

    @property
    def shares(self) -> dict[str, float]:
        """Part of each head in the pool: its weight times the spread of its log-probabilities over the classes, normalised to a sum of 1."""
        moved = self.weight[-1] * self.spread
        shares = moved / moved.sum() if moved.any() else moved
        return dict(zip(self.heads, shares.tolist(), strict=True))

    @override
    def reset_parameters(self) -> None:
        """Make all weights equal, with a sum of 1."""
        nn.init.ones_(self.weight)
        nn.init.ones_(self.spread)
        nn.init.zeros_(self.fitted_on)

    @override
    def extra_repr(self) -> str:
        """The pool of all heads as a table, for ``print``."""
        if self.weight.is_meta:
            return ", ".join(self.heads)
        width, shares = max(map(len, self.heads)), self.shares
        lines = [
            f"{name:<{width}} weight {weight:.3g}, share {shares[name]:.2f}"
            for name, weight in self.weights.items()
        ]
        return "\n".join([*lines, f"fitted on {self.fitted_on:,.0f}" if self.fitted_on else "not fitted"])

    def _sets(self) -> list[list[int]]:
        """Places of the heads in each set: all sets in the order of the rows, the bits of a row's number from 1; else each head, and all."""
        places = range(len(self.heads))
        if self.allow_missing:
            return [[place for place in places if row >> place & 1] for row in range(1, 2 ** len(places))]
        alone = [[place] for place in places]
        return [*alone, list(places)] if len(alone) > 1 else alone

    def _given(self, scores: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """The scores of the heads that are there, in the order of the pool."""
        if not isinstance(scores, Mapping):
            raise TypeError(f"`scores` must be a mapping of head to scores, got {type(scores).__name__}.")
        if unknown := [name for name in scores if name not in self.heads]:
            raise ValueError(f"`scores` has {unknown}; the heads of the pool are {list(self.heads)}.")
        found = {name: scores.get(name) for name in self.heads}
        given = {name: each for name, each in found.items() if each is not None}
        if not given:
            raise ValueError(f"`scores` has none of the heads {list(self.heads)}; it must have one.")
        expect_scores(given)
        return given


def _expect_heads(heads: object, allow_missing: bool) -> tuple[str, ...]:
    rule = 'must name the heads, as in ["joint", "video", "sound"]'
    if isinstance(heads, str) or not isinstance(heads, Iterable):
        raise TypeError(f"`heads` (={heads!r}) {rule}.")
    names = tuple(heads)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"`heads` (={list(names)!r}) {rule}: names are strings.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`heads` (={list(names)!r}) {rule}: at least one, each once.")
    if allow_missing and len(names) > MOST:
        raise ValueError(
            f"`heads` (={list(names)!r}) must be {MOST} at most, since each set of them has weights of its own. If none is ever missing, pass "
            f"`allow_missing=False`."
        )
    return names
