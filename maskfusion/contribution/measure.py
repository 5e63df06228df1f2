"""Running every set of modalities, and scoring it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from numbers import Real

import torch
from torch import Tensor, nn

from maskfusion._checks import expect_int
from maskfusion.contribution.absence import Absence, Batches, named, pairs, zeroed
from maskfusion.contribution.calls import Call, by_mapping, call_for, players_for
from maskfusion.contribution.metric import Metric, accuracy
from maskfusion.contribution.result import Contributions
from maskfusion.contribution.runs import run_without
from maskfusion.contribution.shapley import (
    Coalition,
    all_coalitions,
    draw_orders,
    growing,
    sampled_values,
    shapley_values,
)
from maskfusion.mask.find import masks_of
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.mask.sources import Sources, expect_sources, told
from maskfusion.training.reading import read

EXACT_UP_TO = 6
"""Modalities of which every set is run; of more, those along sampled orders of joining."""

ORDERS = 50
"""Orders of joining that are sampled unless told otherwise."""


def measure_contributions(
    model: nn.Module,
    batches: Batches,
    *,
    metric: Metric | None = None,
    absent: Absence = zeroed,
    call: Call | None = None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    orders: int | None = None,
    generator: torch.Generator | None = None,
) -> Contributions:
    r"""Measure what each modality contributes to a trained model.

    Let v(S) be the metric when only the modalities S are present. The result holds v(all) and v(none), and for each modality m

    - its Shapley value, the mean of what it adds over all orders of joining; the values add up to v(all) - v(none),
    - v(m), the modality alone inside the joint model, and v(all without m),
    - its conditional utilisation; and beside them the channels that masks in the model leave open, and zeta.

    .. math:: u(m \mid \mathrm{rest}) = \frac{v(\mathrm{all}) - v(\mathrm{all} \setminus m)}{v(\mathrm{all})}

    For up to 6 modalities all :math:`2^M` sets are run; for more, those along random orders of joining, with a standard error.

    The batches are read once, and each goes through the model once for every set, in evaluation mode and without gradients, on
    the device of the model's first parameter. The predictions of all sets are kept on the CPU until the metric is computed from
    all of them, so a metric need not be a mean over samples; a ``call`` that returns classes instead of scores needs less memory.
    The model is left as it was.

    Args:
        model: Any network; it need not have a mask.
        batches: Pairs ``(inputs, target)``, as from a data loader. The inputs are a mapping of name to tensor, or a sequence of
            tensors, named "0", "1", ... For other batches give a generator: ``(({"image": a, "audio": b}, y) for a, b, y in loader)``.
        metric: Function from all predictions and all targets, on the CPU, to one number, where larger is better; ``accuracy`` if None.
        absent: Function that replaces a modality that is taken away: ``zeroed``, ``mean_replaced(batches)``,
            ``permuted(batches, generator)``, ``left_out`` if the network allows it, or your own function of the name of an input,
            its values, and the positions of these samples in the set.
        call: Function that calls the model, given the model and its inputs by name: ``by_mapping``, ``by_position``, ``by_keyword`` or
            your own, for example ``lambda model, x: model(**x).logits``. If None, inputs in a sequence are given by position, those in a
            mapping by keyword if ``forward`` has parameters of all these names, else as the mapping.
        modalities: Inputs to take away; others, such as lengths, are always there. A mapping gives each modality the names of
            its inputs, if it has several: ``{"text": ["ids", "segments"], "image": ["pixels"]}``. If None, what ``attach`` has found of
            the masks in the model; without such masks each input of the first batch is one, those of a sequence under the
            names that ``forward`` has for them.
        orders: Number of orders of joining to sample; None is all of them for up to 6 modalities, and 50 for more.
        generator: Source of the random orders; PyTorch's own if None.

    Raises:
        TypeError: If an argument, a batch, or what ``call`` or ``metric`` return, has the wrong type.
        ValueError: If there are no samples, an input is missing, shapes do not fit, or scores of classes are NaN.

    Examples:
        >>> model = nn.Bilinear(1, 1, 1, bias=False)  # the class is the sign of the product
        >>> with torch.no_grad():
        ...     _ = model.weight.fill_(1.0)
        >>> image, audio = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0])).split(1, dim=1)
        >>> batch = {"image": image, "audio": audio}, image[:, 0] * audio[:, 0] > 0
        >>> result = measure_contributions(model, [batch], call=lambda model, x: model(*x.values())[:, 0] > 0)
        >>> print(result)
        accuracy 1.0000 with all modalities, 0.5000 with none (zeroed)
        modality  Shapley   alone  without  utilisation
        image      0.2500  0.5000   0.5000       0.5000
        audio      0.2500  0.5000   0.5000       0.5000

    Reference: Shapley, 1953; Hu et al., 2022 (SHAPE); utilisation: Wu et al., ICML 2022.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` (={model!r}) must be a module.")
    metric = accuracy if metric is None else metric
    for name, function in (("metric", metric), ("absent", absent), ("call", call or by_mapping)):
        if not callable(function):
            raise TypeError(f"`{name}` (={function!r}) must be a function.")
    if orders is not None:
        expect_int("orders", orders, least=2)
    given = pairs(batches)
    first = next(given, None)
    if first is None:
        raise ValueError("`batches` is empty; it must hold at least one sample.")
    call = call_for(model, first[0]) if call is None else call
    masks = masks_of(model)
    asked = _players(model, masks, first[0], call) if modalities is None else modalities
    sources = expect_sources(asked, named(first[0]))
    players = tuple(sources)
    if orders is None and len(players) > EXACT_UP_TO:
        orders = ORDERS
    drawn = draw_orders(players, orders or 0, generator)
    sets = _sets_along(players, drawn) if drawn else all_coalitions(players)
    with _undisturbed(model):
        predictions, targets = run_without(model, call, absent, sources, sets, chain([first], given))
    if metric is accuracy:
        _expect_numbers(predictions, sources, _name(absent))
    values = {present: _score(metric, predictions[present], targets) for present in sets}
    if drawn:
        shapley, error = sampled_values(players, values, drawn)
    else:
        shapley, error = shapley_values(players, values), dict.fromkeys(players, 0.0)
    counts = {path: read(mask).counts for path, mask in masks.items()}
    return Contributions(
        metric=_name(metric),
        absent=_name(absent),
        modalities=players,
        values=values,
        shapley=shapley,
        error=error,
        orders=orders,
        kept={path: each.kept() for path, each in counts.items()},
        zeta={path: each.zeta() for path, each in counts.items()},
    )


def _players(
    model: nn.Module, masks: Mapping[str, ComplementaryMask], inputs: object, call: Call
) -> dict[str, tuple[str, ...]]:
    """The modalities of attached masks, else the inputs; by the names that the inputs have in a batch."""
    each = players_for(model, inputs, call)
    found = told(masks, each) or {name: (name,) for name in each}
    return {modality: tuple(each[name] for name in names) for modality, names in found.items()}


def _expect_numbers(predictions: Mapping[Coalition, Tensor], sources: Sources, absent: str) -> None:
    """Refuse scores that are NaN, the largest of which is no class."""
    for present, scores in sorted(predictions.items(), key=lambda item: -len(item[0])):
        if scores.is_floating_point() and bool(scores.isnan().any()):
            gone = {name: list(inputs) for name, inputs in sources.items() if name not in present}
            raise ValueError(
                f"`call` returned NaN without {gone}, whose inputs are {absent}. A padding mask of zeros hides everything: name the "
                f"features alone in `modalities`, or take another way of being absent, such as `permuted`."
                if gone
                else "`call` returned NaN with all modalities there; the model must predict numbers."
            )


def _sets_along(players: Sequence[str], orders: Sequence[Coalition]) -> list[Coalition]:
    """The sets that these orders of joining pass, each modality alone, and all but each."""
    alone = [(player,) for player in players]
    without = [tuple(other for other in players if other != player) for player in players]
    passed = (present for order in orders for present in growing(players, order))
    return list(dict.fromkeys(chain(alone, without, passed)))


def _score(metric: Metric, predictions: Tensor, targets: Tensor) -> float:
    score: object = metric(predictions, targets)
    if isinstance(score, Real) or (isinstance(score, Tensor) and score.numel() == 1):
        return float(score)
    shape = f" of shape {tuple(score.shape)}" if isinstance(score, Tensor) else ""
    raise TypeError(f"`metric` returned a {type(score).__name__}{shape}; it must return one number.")


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
