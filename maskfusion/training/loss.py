"""The loss of the paper, term by term."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import expect_number
from maskfusion._typing import Float, Penalty


@runtime_checkable
class HasLoss(Protocol):
    """Anything with a loss, such as ``Quantized``."""

    @property
    def loss(self) -> Tensor:
        """A 0-d tensor."""
        ...


@runtime_checkable
class HasWeight(Protocol):
    """Anything with an Omega, such as ``ComplementaryMask``."""

    @property
    def weight(self) -> Tensor:
        """Shape ``(channels,)``."""
        ...


@runtime_checkable
class HasValue(Protocol):
    """A number that changes over training, such as a ``PenaltySchedule``."""

    @property
    def value(self) -> Tensor:
        """A 0-d tensor."""
        ...


class LossTerms(NamedTuple):
    """What ``ComplementaryLoss`` returns: every term without its weight, 0 if it was not passed."""

    total: Float[Tensor, ""]
    """The weighted sum, to back-propagate."""
    task: Float[Tensor, ""]
    """Loss of the task (Eq. 4)."""
    reconstruction: Float[Tensor, ""]
    """Mean squared error of the reconstructions, summed over modalities (Eq. 2)."""
    code: Float[Tensor, ""]
    """Losses of the quantisers, summed (Eq. 3)."""
    mask: Float[Tensor, ""]
    """Penalty on keeping channels, summed over masks (Eq. 5)."""


class ComplementaryLoss(nn.Module):
    r"""Add up the terms that a network with a mask is trained on.

    .. math:: \mathcal{L} = \mathcal{L}_{\mathrm{task}} + w_r \mathcal{L}_{\mathrm{recons}} + w_c \mathcal{L}_{\mathrm{code}}
        + \lambda \sum_d \Omega_d

    A network that has only a mask passes only ``masks``; a term that is not passed is 0.

    Args:
        task: Function or module of ``(prediction, target)``; cross entropy by default.
        reconstruction_weight: Weight of the reconstruction error.
        code_weight: Weight of the quantisers' losses.
        mask_weight: Weight of the penalty, lambda: a number, or a schedule such as ``WarmupPenalty``, which you step.
        penalty: Function from Omega to a number: ``signed_sum`` (Eq. 5), ``absolute_sum``, ``positive_sum`` or your own.

    Shape:
        - Input: what ``task`` takes
        - Output: ``LossTerms``

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a weight is negative or not finite.

    Examples:
        >>> from maskfusion import ComplementaryMask
        >>> mask = ComplementaryMask({"image": 3, "audio": 3})
        >>> loss = ComplementaryLoss(mask_weight=0.5)
        >>> terms = loss(torch.zeros(2, 10), torch.tensor([3, 7]), masks=mask)
        >>> print(f"{terms.task:.4f} + 0.5 * {terms.mask:.4f} = {terms.total:.4f}")
        2.3026 + 0.5 * 0.6000 = 2.6026

    Reference: Eq. 1.
    """

    def __init__(
        self,
        task: nn.Module | None = None,
        *,
        reconstruction_weight: float = 1.0,
        code_weight: float = 1.0,
        mask_weight: float | HasValue = 1e-4,
        penalty: Penalty = functional.signed_sum,
    ) -> None:
        super().__init__()
        self.task = nn.CrossEntropyLoss() if task is None else task
        self.reconstruction_weight = expect_number("reconstruction_weight", reconstruction_weight, least=0.0)
        self.code_weight = expect_number("code_weight", code_weight, least=0.0)
        self.mask_weight = expect_lambda("mask_weight", mask_weight)
        if not callable(penalty):
            raise TypeError(f"`penalty` (={penalty!r}) must be a function of Omega.")
        self.penalty = penalty

    @override
    def forward(
        self,
        prediction: Any,
        target: Any,
        *,
        inputs: Mapping[str, Tensor] | None = None,
        reconstructions: Mapping[str, Tensor] | None = None,
        quantized: HasLoss | Mapping[str, HasLoss] | Iterable[HasLoss] | None = None,
        masks: HasWeight | Iterable[HasWeight] | None = None,
    ) -> LossTerms:
        """Return every term and their weighted sum.

        Args:
            prediction: Output of the network.
            target: Target of the task.
            inputs: Tensors that were to be reconstructed, by modality.
            reconstructions: Their reconstructions, by modality, in the shapes of ``inputs``.
            quantized: ``Quantized`` of each modality: a mapping, a sequence or one.
            masks: One ``ComplementaryMask`` or several.

        Raises:
            ValueError: If ``inputs`` and ``reconstructions`` do not have the same modalities and shapes.
        """
        task = self.task(prediction, target)
        zero = task.new_zeros(())
        reconstruction = sum(_squared_errors(inputs or {}, reconstructions or {}), start=zero)
        code = sum((one.loss for one in _several(quantized, "loss")), start=zero)
        weights = [mask.weight for mask in _several(masks, "weight")]
        mask = functional.mask_penalty(weights, self.penalty) if weights else zero
        given = self.mask_weight
        weight = given if isinstance(given, float) else given.value
        total = self.reconstruction_weight * reconstruction + self.code_weight * code + task + weight * mask
        return LossTerms(total, task, reconstruction, code, mask)

    @override
    def extra_repr(self) -> str:
        """Weights, for ``print``."""
        return (
            f"reconstruction_weight={self.reconstruction_weight}, code_weight={self.code_weight}, "
            f"mask_weight={self.mask_weight if isinstance(self.mask_weight, float) else 'as scheduled'}"
        )


def expect_lambda(name: str, weight: object) -> float | HasValue:
    """A number that is not negative, or something with a ``value``."""
    return weight if isinstance(weight, HasValue) else expect_number(name, weight, least=0.0)


def _squared_errors(inputs: Mapping[str, Tensor], reconstructions: Mapping[str, Tensor]) -> Iterator[Tensor]:
    if inputs.keys() != reconstructions.keys():
        raise ValueError(
            f"`inputs` of {list(inputs)} and `reconstructions` of {list(reconstructions)} must have the same modalities."
        )
    for modality, wanted in inputs.items():
        got = reconstructions[modality]
        if wanted.shape != got.shape:
            raise ValueError(
                f"`reconstructions[{modality!r}]` of shape {tuple(got.shape)} must have the shape of its input, "
                f"{tuple(wanted.shape)}."
            )
        yield nn.functional.mse_loss(got, wanted)


def _several(given: Any, attribute: str) -> Iterable[Any]:
    """Read a mapping, an iterable, one object or None as several objects."""
    if given is None:
        return ()
    if hasattr(given, attribute):
        return (given,)
    return given.values() if isinstance(given, Mapping) else given
