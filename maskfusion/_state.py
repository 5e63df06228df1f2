"""State that outlives casts, averages and incomplete checkpoints."""

from abc import abstractmethod
from collections.abc import Callable
from itertools import chain
from typing import cast

from torch import Tensor, nn
from typing_extensions import override


class FreshStart(nn.Module):
    """A module that begins anew where transformers loads a checkpoint without its state.

    ``from_pretrained`` leaves in what the checkpoint lacks the old contents of memory, marks what it had, and asks each module whether it is
    initialised before the model's ``_init_weights`` has to see to it, which knows nothing of us. The functions of ``torch.nn.init`` pass
    over what is marked then, so that ``reset_parameters`` made of them keeps it.
    """

    @abstractmethod
    def reset_parameters(self) -> None:
        """Start again."""

    @property
    def _is_hf_initialized(self) -> bool:
        own = chain(self.parameters(recurse=False), self.buffers(recurse=False))
        marked = all(getattr(tensor, "_is_hf_initialized", False) for tensor in own)
        if not marked and not self.__dict__.get("_loaded"):
            self.reset_parameters()
        return True

    @_is_hf_initialized.setter
    def _is_hf_initialized(self, loaded: bool) -> None:
        """Older versions mark the module, if the checkpoint had all of it."""
        self.__dict__["_loaded"] = loaded


class LastingState(FreshStart):
    """A module whose numbers also keep their precision when it is cast."""

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LastingState":
        """Move to another device as asked, but keep the precision."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        apply = cast("Callable[..., LastingState]", super()._apply)
        return apply(keep_precision, recurse)
