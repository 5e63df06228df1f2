"""State that keeps its precision and its size."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn
from typing_extensions import override


class SteadyState(nn.Module):
    """A module with a ``codebook`` whose state stays in the precision it has, and is loaded as a whole or not at all."""

    codebook: Tensor

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SteadyState":
        """Move to another device as asked, but keep the precision: a codebook in half precision cannot follow its data."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        apply = cast("Callable[..., SteadyState]", super()._apply)
        return apply(keep_precision, recurse)

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Refuse a codebook of another size before anything is taken over."""
        given = state_dict.get(f"{prefix}codebook")
        if given is None or given.shape == self.codebook.shape:
            load = cast("Callable[..., None]", super()._load_from_state_dict)
            load(state_dict, prefix, *rest)
            return
        *_, messages = rest
        messages.append(
            f"size mismatch for {prefix}codebook: the checkpoint has {list(given.shape)}, this quantiser has "
            f"{list(self.codebook.shape)}. Nothing of it was loaded."
        )
