"""The channel mask that a user puts around a fusion layer."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import expect_channels, expect_choice, expect_features, expect_int, expect_number
from maskfusion._state import FreshStart
from maskfusion._table import COLUMNS, aligned
from maskfusion._typing import Bool, Float, Gate
from maskfusion.functional.multiply import multiply_channels
from maskfusion.functional.sharding import gathered
from maskfusion.mask.entry import map_entry
from maskfusion.mask.features import collect_features, map_features, parameter_names


class ComplementaryMask(FreshStart):
    r"""Open or close whole channels of multimodal features by a learned binary mask.

    .. math:: f_i = \hat z_i \odot \omega, \qquad \omega_d = 1 \text{ if } \Omega_d > t, \text{ else } 0

    Every channel belongs to one modality and starts open; ``penalty()`` closes it unless it helps the task. Open channels
    are *complementary*, closed ones *contradictory*. The gradient passes through the binarisation unchanged, for closed channels too, so
    that a channel can open again.

    Args:
        channels: Modalities in order, with their numbers of channels: ``{"image": 64, "audio": 64}``. An int is two equal modalities
            named "0" and "1"; a sequence of ints names them by position.
        fusion: Layer to call, an attribute of the mask. ``None`` if the input is already fused, or is to be
            concatenated.
        side: "output" masks what ``fusion`` returns; "input" masks each modality before ``fusion``, for fusions that mix
            channels (sum, product, attention). Other arguments of ``fusion``, such as padding masks, are left alone. If its parameters
            have the names of the modalities, positional arguments are told apart by these names, not by their order.
        entry: Place of the fused features in what ``fusion`` returns: an index of a tuple or list, a key of a mapping or its
            position, a field of a named tuple or dataclass; "1.0" is entry 0 of entry 1.
        threshold: Limit t; a channel is open while its Omega is above it.
        init: Omega at the start; above ``threshold``.
        gate: Function ``(weight, threshold, training) -> gate values``: ``hard_gate`` (the paper), ``soft_gate``, ``ternary_gate``,
            ``random_gate(p)`` or your own.
        channel_dim: Dimension of the channels: 1 for ``(batch, channels, *spatial)``, -1 for ``(batch, tokens, channels)``.
        min_channels: Number of channels of each modality that always stay open, those with the largest Omega.
        device: Device of Omega; that of the parameters of ``fusion`` if None.

    Shape:
        - Input: as ``fusion`` takes it; with side "input" each modality under its name, or all in a list or mapping as first argument,
          or as the first arguments in order. Without ``fusion``: one tensor ``(batch, channels, *spatial)``; or one tensor per modality,
          as several arguments, a sequence, or a mapping by name in any order
        - Output: as ``fusion`` returns it, or ``(batch, channels, *spatial)``

    Raises:
        TypeError: If an argument or the input has the wrong type.
        ValueError: If an argument is out of its range or the input has another number of channels.

    Examples:
        >>> mask = ComplementaryMask({"image": 3, "audio": 2})
        >>> mask({"image": torch.ones(1, 3), "audio": torch.ones(1, 2)}).shape
        torch.Size([1, 5])
        >>> mask
        ComplementaryMask(threshold=0.05, side='output', channel_dim=1, kept=3/3 image, 2/2 audio)

    Reference: Sec. 3.2, Eqs. 5 and 6.
    """

    def __init__(
        self,
        channels: int | Sequence[int] | Mapping[str, int],
        *,
        fusion: Callable[..., Any] | None = None,
        side: str = "output",
        entry: int | str | None = None,
        threshold: float = 0.05,
        init: float = 0.1,
        gate: Gate = functional.hard_gate,
        channel_dim: int = 1,
        min_channels: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.channels = expect_channels(channels)
        if not (fusion is None or callable(fusion)):
            raise TypeError(f"`fusion` (={fusion!r}) must be a module, a function or None.")
        if not callable(gate):
            raise TypeError(f"`gate` (={gate!r}) must be a function of (weight, threshold, training).")
        self.side = expect_choice("side", side, ("output", "input"))
        self._positional = () if fusion is None else parameter_names(fusion)
        if entry is not None and (fusion is None or side == "input"):
            raise ValueError(f"`entry` (={entry!r}) needs a `fusion` whose output is masked.")
        self.entry = entry
        self.threshold = expect_number("threshold", threshold)
        self.init = expect_number("init", init)
        if self.init <= self.threshold:
            raise ValueError(
                f"`init` (={init}) must be above `threshold` (={threshold}), so that every channel starts open."
            )
        self.gate = gate
        self.channel_dim = expect_int("channel_dim", channel_dim)
        self.min_channels = expect_int("min_channels", min_channels, least=0)
        smallest = min(self.channels.values())
        if self.min_channels > smallest:
            raise ValueError(
                f"`min_channels` (={min_channels}) must be at most {smallest}, the smallest modality."
            )
        total = sum(self.channels.values())
        if isinstance(fusion, nn.Module):
            self.training = fusion.training
            tensors = chain(fusion.parameters(), fusion.buffers())
            device = next((tensor.device for tensor in tensors), None) if device is None else device
        self.weight = nn.Parameter(torch.empty(total, dtype=torch.float32, device=device))
        self.fusion = fusion  # after Omega, which must not be taken for a weight that is there already
        self.reset_parameters()

    @override
    def reset_parameters(self) -> None:
        """Open every channel again."""
        nn.init.constant_(self.weight, self.init)

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Fuse and mask."""
        if self.fusion is not None and self.side == "input":
            args, kwargs = self._mask_inputs(args, kwargs)
            return self.fusion(*args, **kwargs)
        fused = self._concatenate(args, kwargs) if self.fusion is None else self.fusion(*args, **kwargs)
        return map_entry(self._masked, fused, self.entry)

    def _masked(self, fused: Any) -> Tensor:
        expect_features("fused features", fused, self.weight.numel(), self.channel_dim)
        return multiply_channels(fused, self._gate_values(), self.channel_dim % fused.ndim)

    def _concatenate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        if len(args) == 1 and not kwargs and isinstance(args[0], (Tensor, fx.Proxy)):
            return cast("Tensor", args[0])
        features = collect_features(self.channels, args, kwargs)
        for modality, count in self.channels.items():
            expect_features(modality, features[modality], count, self.channel_dim)
        shapes = {modality: tuple(value.shape) for modality, value in features.items()}
        first, *others = (_without(shape, self.channel_dim) for shape in shapes.values())
        if any(other != first for other in others):
            raise ValueError(
                f"Features of shapes {shapes} must agree in all dimensions but {self.channel_dim}."
            )
        return torch.cat(list(features.values()), self.channel_dim)

    def _mask_inputs(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        gates = by_modality(self.channels, self._gate_values())

        # In quotes, since PyTorch 2.6 cannot compile a union that is evaluated.
        def masked(modality: str, features: Any) -> "Tensor | None":
            if features is None:  # a modality that is missing
                return None
            expect_features(modality, features, self.channels[modality], self.channel_dim)
            return multiply_channels(features, gates[modality], self.channel_dim % features.ndim)

        return map_features(masked, self.channels, self._positional, args, kwargs)

    def _gate_values(self) -> Float[Tensor, " channels"]:
        values = self.gate(self.weight, self.threshold, self.training)
        if self.min_channels == 0:
            return values
        return values + (self._largest(self.weight.detach()) & (values.detach() == 0)).to(values.dtype)

    def _largest(self, weight: Tensor) -> Bool[Tensor, " channels"]:
        """Which Omegas are among the ``min_channels`` largest of their modality."""
        ranked = weight.nan_to_num(nan=-torch.inf, neginf=-torch.inf, posinf=torch.inf)
        largest = [
            torch.zeros_like(part, dtype=torch.bool).index_fill(0, part.topk(self.min_channels).indices, True)
            for part in by_modality(self.channels, ranked).values()
        ]
        return torch.cat(largest)

    @property
    def kept(self) -> Bool[Tensor, " channels"]:
        """The open channels: those with Omega > t (Eq. 6), for any gate, and the ``min_channels`` largest.

        A sharded Omega (FSDP2) is gathered, so call this on every process.

        Raises:
            RuntimeError: If this process holds a part of Omega that cannot be gathered (FSDP1).
        """
        weight = self._gathered().detach()
        kept = weight > self.threshold
        return kept | self._largest(weight) if self.min_channels else kept

    def penalty(self) -> Float[Tensor, ""]:
        """Sum of Omega: what open channels cost, without lambda (Eq. 5).

        A sharded Omega (FSDP2) is gathered, so call this on every process; its gradient needs no communication.

        Raises:
            RuntimeError: If this process holds a part of Omega that cannot be gathered (FSDP1).
        """
        return functional.mask_penalty(self._gathered())

    def _gathered(self) -> Tensor:
        weight, total = gathered(self.weight), sum(self.channels.values())
        if weight.numel() != total:
            raise RuntimeError(
                f"`weight` of shape {tuple(weight.shape)} must have {total} channels. FullyShardedDataParallel leaves a piece of it "
                f"on each process; shard the model with `fully_shard` instead."
            )
        return weight

    def complementary(self, x: Float[Tensor, "..."], modality: str | None = None) -> Float[Tensor, "..."]:
        """Return ``x`` with its contradictory channels set to zero.

        Args:
            x: Fused features, or those of one modality.
            modality: Modality whose channels ``x`` has; ``None`` for all.

        Raises:
            TypeError: If ``x`` is no floating-point tensor.
            ValueError: If ``modality`` is unknown or ``x`` has another number of channels.
        """
        return torch.where(self._kept_in(x, modality), x, 0)

    def contradictory(self, x: Float[Tensor, "..."], modality: str | None = None) -> Float[Tensor, "..."]:
        """Return ``x`` with its complementary channels set to zero; the two halves add up to ``x`` exactly.

        Args and errors as for ``complementary``.
        """
        return torch.where(self._kept_in(x, modality), 0, x)

    def split(self, x: Float[Tensor, "..."]) -> dict[str, Tensor]:
        """Split fused features into those of each modality, as views by name.

        Raises:
            TypeError: If ``x`` is no floating-point tensor.
            ValueError: If ``x`` has another number of channels.
        """
        dim = self._dim_of(x, None)
        expect_features("x", x, self.weight.numel(), dim)
        return by_modality(self.channels, x, dim)

    def exchange(self, x: Float[Tensor, "..."], shift: int = 1) -> Float[Tensor, "..."]:
        """Keep each sample's complementary channels; take the contradictory ones from the sample ``shift`` positions before.

        Args:
            x: Fused features, batch first.
            shift: Distance along the batch, cyclically.

        Raises:
            TypeError: If ``x`` is no floating-point tensor or ``shift`` no integer.
            ValueError: If ``x`` has another number of channels.
        """
        return torch.where(self._kept_in(x, None), x, x.roll(expect_int("shift", shift), 0))

    def _kept_in(self, x: Tensor, modality: str | None) -> Tensor:
        kept = self.kept
        if modality is not None:
            expect_choice("modality", modality, tuple(self.channels))
            kept = by_modality(self.channels, kept)[modality]
        dim = self._dim_of(x, modality)
        expect_features("x", x, kept.numel(), dim)
        return kept.view(-1, *[1] * (x.ndim - dim % x.ndim - 1))

    def _dim_of(self, x: Any, modality: str | None) -> int:
        """The dimension of the channels of features, of one modality or all."""
        del x, modality
        return self.channel_dim

    @override
    def extra_repr(self) -> str:
        """Settings and live state, for ``print``: one line where it fits, else a table."""
        settings = f"threshold={self.threshold}, side={self.side!r}"
        if hasattr(self, "channel_dim"):  # else there are several, which the places say
            settings += f", channel_dim={self.channel_dim}"
        kept = self._kept_in_words()
        state = [f"kept={', '.join(f'{count} {name}' for name, count in kept.items())}"] if kept else []
        line = ", ".join([*self._at(), settings, *state])
        if len(f"{type(self).__name__}({line})") <= COLUMNS:
            return line
        return "\n".join([settings, *aligned(self._rows(kept), words=3)])

    def _kept_in_words(self) -> dict[str, str]:
        """Open of all channels by modality; empty where Omega cannot be read."""
        in_pieces = hasattr(self.weight, "full_tensor") or self.weight.numel() != sum(self.channels.values())
        if self.weight.is_meta or in_pieces:
            return {}
        parts = by_modality(self.channels, self.kept).items()
        return {name: f"{int(part.sum())}/{len(part)}" for name, part in parts}

    def _at(self) -> list[str]:
        """Where an attached mask is, in words."""
        return []

    def _rows(self, kept: Mapping[str, str]) -> list[tuple[str, ...]]:
        """The table of modalities, with its head."""
        return [("modality", "kept"), *((name, kept.get(name, "")) for name in self.channels)]


def by_modality(channels: Mapping[str, int], values: Tensor, dim: int = 0) -> dict[str, Tensor]:
    """Cut ``values`` along ``dim`` into the parts of each modality, as views."""
    return dict(zip(channels, torch.split(values, list(channels.values()), dim), strict=True))


def whole(weight: Tensor) -> Tensor:
    """Omega without its gradient; gathered from all processes if it is sharded (FSDP)."""
    return gathered(weight).detach()


def _without(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    position = dim % len(shape)
    return shape[:position] + shape[position + 1 :]
