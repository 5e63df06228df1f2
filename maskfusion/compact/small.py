"""What ``compact`` makes of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map
from typing_extensions import override

from maskfusion.compact.report import Report

FLAGS = (bool, int, float, str)
"""What is no tensor and stays as it was in the example."""


class Input(NamedTuple):
    """One input of the network."""

    name: str
    shapes: tuple[tuple[int | None, ...] | None, ...]
    """Shapes of its tensors, None for a size that is free; None for a tensor that the network does not read."""
    flags: tuple[tuple[int, Any], ...] = ()
    """Numbers and words among them, which stay as they were: their places, and what they are."""

    @property
    def is_read(self) -> bool:
        """Whether the network needs it."""
        return any(shape is not None for shape in self.shapes)


@dataclass(frozen=True)
class Slot:
    """Where a tensor stands in what the network returns."""

    place: int
    """Which of those that are computed."""


class SmallNetwork(nn.Module):
    """A network without closed channels, which ``compact`` makes.

    It is called like the original network, with inputs by name or position, in their order; those in ``unread`` may be left out or
    be None. Its tensors must have the sizes of the example, except for the batch. In either mode it computes the output of the original in
    evaluation mode: dropout is removed, and batch norm keeps its averages while it is trained further.

    Attributes:
        network: The operations, an ``fx.GraphModule``; weights keep their names. It takes the tensors that are read, by position, in the order of
            the example's inputs.
        report: What was removed, and what could not be.
    """

    def __init__(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Input],
        positions: Sequence[str],
        output: Any,
        report: Report,
        listed: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self.inputs = tuple(inputs)
        self.positions = tuple(positions)
        self.output = output
        self.report = report
        self.listed = listed

    @property
    def unread(self) -> tuple[str, ...]:
        """Inputs that are not needed."""
        return tuple(each.name for each in self.inputs if not each.is_read)

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output of evaluation mode.

        Raises:
            TypeError: If an input that is read is missing or no tensor, or one is unknown.
            ValueError: If a tensor has not the sizes of the example, or a flag is not the example's.
        """
        given = self._by_name(args, kwargs)
        tensors: list[Tensor] = []
        for each in self.inputs:
            _expect_flags(each, given.get(each.name))
            if each.is_read:
                tensors += self._tensors(each, given)
        computed = self.network(*tensors)
        if isinstance(self.output, Slot):
            return computed
        return tree_map(lambda leaf: computed[leaf.place] if isinstance(leaf, Slot) else leaf, self.output)

    def _by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = [each.name for each in self.inputs]
        first = args[0] if len(args) == 1 else None
        if self.listed and isinstance(first, Sequence):
            first = {
                name: [sample[name] for sample in first]
                for name in names
                if all(name in sample for sample in first)
            }
        if isinstance(first, Mapping) and set(first) & set(names):
            args, kwargs = (), {**first, **kwargs}
        given = {**dict(zip(self.positions[: len(args)], args, strict=False)), **kwargs}
        unknown = [name for name, value in given.items() if name not in names and value is not None]
        if len(args) > len(self.positions) or set(kwargs) & set(self.positions[: len(args)]) or unknown:
            raise TypeError(
                f"The inputs must be those of the example, {names}, each once; got {len(args)} by position and {list(kwargs)} by name."
            )
        return given

    def _tensors(self, each: Input, given: Mapping[str, Any]) -> list[Tensor]:
        value = given.get(each.name)
        if value is None:
            raise TypeError(
                f"`{each.name}` must be given: the network reads it. It does not read {list(self.unread)}."
            )
        leaves = tree_flatten(value)[0]
        if len(leaves) != len(each.shapes):
            raise TypeError(
                f"`{each.name}` must hold {len(each.shapes)} tensors, as in the example, got {len(leaves)}."
            )
        read = [(leaf, shape) for leaf, shape in zip(leaves, each.shapes, strict=True) if shape is not None]
        for leaf, shape in read:
            if not isinstance(leaf, Tensor):
                raise TypeError(f"`{each.name}` (={leaf!r}) must be a tensor, as in the example.")
            fits = [size in (None, own) for size, own in zip(shape, leaf.shape, strict=False)]
            if len(shape) != leaf.ndim or not all(fits):
                wanted = ", ".join("batch" if size is None else str(size) for size in shape)
                raise ValueError(
                    f"`{each.name}` of shape {tuple(leaf.shape)} must have shape ({wanted}), that of the example. For other sizes, "
                    f"`compact` the network with another example."
                )
        return [leaf for leaf, _ in read]

    @override
    def extra_repr(self) -> str:
        """Inputs, for ``print``."""
        return f"reads {[each.name for each in self.inputs if each.is_read]}, not {list(self.unread)}"

    def __repr__(self) -> str:
        """In one line; ``print(small.report)`` says more."""
        return f"{type(self).__name__}({self.extra_repr()})"


def _expect_flags(each: Input, value: Any) -> None:
    if value is None or not each.flags:
        return
    leaves = tree_leaves(value)
    for place, flag in each.flags:
        if place >= len(leaves) or not isinstance(leaves[place], FLAGS) or leaves[place] != flag:
            raise ValueError(
                f"`{each.name}` (={value!r}) must be {flag!r} as in the example, for which the network was made smaller. For another, "
                f"`compact` the network with another example."
            )
