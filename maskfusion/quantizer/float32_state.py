"""State that stays float32 in a model of any precision, and is whole however it arrives."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from typing_extensions import override

from maskfusion._state import FreshStart


class Float32State(FreshStart):
    """A module with a ``codebook`` whose state stays float32, since one in half precision cannot follow its data.

    Models are cast, built on a device without memory and filled later, and loaded by tools that put a tensor in the place of another. All
    of them end in ``load_state_dict``, ``train()`` or ``eval()``, and there the state is settled.
    """

    codebook: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.precision = torch.get_default_dtype()
        """What the model computes in, and so what comes out where nothing goes in that would tell."""

    def _settle(self) -> None:
        """Make float32 of what arrived in another precision, which is then that of the model."""
        if self.codebook.dtype != torch.float32:
            self.precision = self.codebook.dtype
        for tensor in (*self.parameters(recurse=False), *self.buffers(recurse=False)):
            if tensor.dtype != torch.float32:
                tensor.data = tensor.data.float()

    @override
    def train(self, mode: bool = True) -> "Float32State":
        self._settle()
        return super().train(mode)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Float32State":
        """Move to another device as asked, and note the precision that was asked for."""

        def moved(tensor: Tensor) -> Tensor:
            there = fn(tensor)
            return there if there.dtype == tensor.dtype else tensor.to(there.device)

        self.precision = fn(torch.empty(0, dtype=self.precision, device=self.codebook.device)).dtype
        apply = cast("Callable[..., Float32State]", super()._apply)
        return apply(moved, recurse)

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Refuse a codebook of another size before anything is taken over."""
        given = state_dict.get(f"{prefix}codebook")
        if given is None or given.shape == self.codebook.shape:
            load = cast("Callable[..., None]", super()._load_from_state_dict)
            load(state_dict, prefix, *rest)
            self._settle()
            return
        *_, messages = rest
        messages.append(
            f"size mismatch for {prefix}codebook: the checkpoint has {list(given.shape)}, this quantiser has "
            f"{list(self.codebook.shape)}. Nothing of it was loaded."
        )
