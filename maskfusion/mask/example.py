"""Reading an example: what a network is called with, by name, and how it is called."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from inspect import Parameter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_map_only, tree_unflatten

from maskfusion.mask.arguments import (
    among_others,
    binds,
    explained,
    first_alone,
    names_by_position,
    takes,
    why_not_by_name,
    why_not_by_position,
)
from maskfusion.mask.copies import with_entries
from maskfusion.mask.features import BY_POSITION, parameters_of

Call = Callable[[nn.Module, dict[str, Any]], Any]
"""``(model, inputs by name) -> output``."""


@dataclass(frozen=True)
class Example:
    """A batch for a network: its inputs by name, and the call that takes them."""

    inputs: dict[str, Any]
    call: Callable[[dict[str, Any]], Any]
    """Runs the network on inputs of these names."""
    listed: bool = False
    """Whether every input is a list with one entry per sample."""

    def exchanged(self, names: Sequence[str], scale: float = 1.0) -> Any:
        """What the network returns where the samples of these inputs have changed places, and real numbers among them were scaled."""
        return self.run({**self.inputs, **{name: self._moved(name, scale) for name in names}})

    def run(self, inputs: Mapping[str, Any] | None = None) -> Any:
        """What the network returns, from the same random numbers every time."""
        torch.manual_seed(0)
        copies = tree_map_only(Tensor, torch.clone, dict(self.inputs if inputs is None else inputs))
        return self.call(copies)

    def varied(self) -> list[str]:
        """The inputs that change when samples change places."""
        moved = {name: self._moved(name) for name in self.inputs}
        return [
            name
            for name, value in self.inputs.items()
            if differs(value, moved[name]) or _words(value) != _words(moved[name])
        ]

    def words_exchanged(self, name: str) -> Any:
        """An input of which all but the tensors has changed places; as it is where samples are not alike."""
        old, spec = tree_flatten(self.inputs[name])
        new, moved = tree_flatten(self._moved(name))
        if spec != moved:
            return self.inputs[name]
        return tree_unflatten(
            [was if isinstance(was, Tensor) else now for was, now in zip(old, new, strict=True)], spec
        )

    def _moved(self, name: str, scale: float = 1.0) -> Any:
        value = self.inputs[name]
        return rolled(value, scale) if self.listed else exchange(value, samples_of(self.inputs), scale)


def read_example(model: nn.Module, example: Any, call: Call | None = None) -> Example:
    """Read the ``example`` argument.

    Args:
        model: The network.
        example: A mapping of inputs by name, passed by keyword where ``forward`` has parameters of these names, else as one mapping; or
            a tuple or list by position; or a list with one mapping per sample; or one tensor. Positions are named as the parameters of
            ``forward``.
        call: ``(model, inputs by name) -> output`` for anything else.

    Raises:
        TypeError: If ``example`` or ``call`` has the wrong type.
        ValueError: If ``example`` is empty, or is not what ``forward`` takes and there is no ``call``.
    """
    if call is not None and not callable(call):
        raise TypeError(f"`call` (={call!r}) must be a function of (model, inputs by name).")
    if isinstance(example, Tensor):
        example = (example,)
    if isinstance(example, (Mapping, Sequence)) and not example:
        raise ValueError(
            f"`example` (={example!r}) is empty; it must hold the inputs of one call, with at least two samples."
        )
    if is_list_of_samples(model, example):
        return _of_samples(model, example, call)
    if isinstance(example, Sequence) and len(example) == 1 and isinstance(example[0], Mapping):
        call = _taking_positions(model, example) if call is None else call
        (example,) = example
        call = _as_one_mapping(example) if call is _by_position else call
    if isinstance(example, Mapping):
        inputs = {str(name): value for name, value in example.items()}
        chosen = _taking_names(model, example, inputs) if call is None else call
    elif isinstance(example, Sequence) and not isinstance(example, str):
        inputs = dict(zip(names_by_position(model, len(example)), example, strict=True))
        chosen = _taking_positions(model, example) if call is None else call
    else:
        raise TypeError(
            f"`example` of type {type(example).__name__} must be what the network is called with: a mapping of inputs by name, or a "
            f"tuple by position."
        )
    return Example(inputs, partial(chosen, model))


def is_list_of_samples(model: nn.Module, example: Any) -> bool:
    """Whether a mapping stands for each sample: at least two, for a ``forward`` that needs one argument."""
    if not isinstance(example, Sequence) or len(example) < 2:
        return False
    parameters = [each for each in parameters_of(model).values() if each.kind in BY_POSITION]
    needed = [each for each in parameters if each.default is Parameter.empty]
    return len(needed) == 1 and all(isinstance(sample, Mapping) for sample in example)


def _of_samples(model: nn.Module, samples: Sequence[Mapping[str, Any]], call: Call | None) -> Example:
    """Read a list of samples; what only some of them have goes with the sample and is nobody's."""
    names = [name for name in samples[0] if all(name in sample for sample in samples)]
    if not names:
        raise ValueError(
            f"`example` of {len(samples)} mappings, with the keys {[list(sample) for sample in samples]}, must hold the same inputs of every "
            f"sample. Of a loader's (inputs, labels) give the first entry alone."
        )

    def run(values: dict[str, Any]) -> Any:
        batch = [
            with_entries(sample, {name: values[name][number] for name in names})
            for number, sample in enumerate(samples)
        ]
        return model(batch) if call is None else call(model, values)

    return Example({str(name): [sample[name] for sample in samples] for name in names}, run, listed=True)


def rolled(samples: Sequence[Any], scale: float = 1.0) -> list[Any]:
    """A list of samples moved on by one, and real numbers times ``scale``."""
    moved: list[Any] = tree_map_only(
        Tensor, lambda tensor: _scaled(tensor, scale), [samples[-1], *samples[:-1]]
    )
    return moved


def exchange(value: Any, samples: int | None = None, scale: float = 1.0) -> Any:
    """The same with samples moved on by one, and real numbers times ``scale``.

    Samples are along the first dimension of a tensor, or the entries of a list, such as clouds of points or sentences.
    """

    def of_list(each: Any) -> bool:
        if not isinstance(each, (list, tuple)) or len(each) != samples:
            return False
        inside = tensors_in(each).values()
        return not inside or any(tensor.shape[:1] != (samples,) for tensor in inside)

    def moved(each: Any) -> Any:
        if isinstance(each, Tensor):
            return _scaled(each.roll(1, 0) if each.ndim else each, scale)
        return with_entries(each, dict(enumerate(rolled(each, scale)))) if of_list(each) else each

    return tree_map(moved, value, is_leaf=of_list)


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return scale * tensor if tensor.is_floating_point() and scale != 1 else tensor


def samples_of(inputs: Mapping[str, Any]) -> int | None:
    """How many samples there are: as the first tensor outside of lists says, or all inside of them, or the longest list."""
    outside = [
        leaf for leaf in tree_leaves(dict(inputs), is_leaf=_is_list) if isinstance(leaf, Tensor) and leaf.ndim
    ]
    inside = {tensor.shape[0] for tensor in tensors_in(inputs).values() if tensor.ndim}
    if outside:
        return outside[0].shape[0]
    lists = [len(leaf) for leaf in tree_leaves(dict(inputs), is_leaf=_is_list) if _is_list(leaf)]
    return inside.pop() if len(inside) == 1 else max(lists, default=None)


def differs(first: Any, second: Any) -> bool:
    """Whether any tensor does, or is in one of them alone."""
    one, other = tensors_in(first), tensors_in(second)
    return one.keys() != other.keys() or any(
        not torch.equal(tensor, other[key]) for key, tensor in one.items()
    )


def tensors_in(value: Any, key: tuple[int | str, ...] = ()) -> dict[tuple[int | str, ...], Tensor]:
    """Every tensor in nested mappings, sequences and dataclasses, by the keys that lead there."""
    if isinstance(value, Tensor):
        return {key: value}
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif is_dataclass(value) and not isinstance(value, type):
        items = [(field.name, getattr(value, field.name)) for field in fields(value)]
    else:
        return {}
    found: dict[tuple[int | str, ...], Tensor] = {}
    for name, entry in items:
        found |= tensors_in(entry, (*key, name))
    return found


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients or nested tensors; every submodule gets its own mode back, PyTorch its random numbers."""
    nesting = [each for each in model.modules() if getattr(each, "use_nested_tensor", False) is True]
    modes = [(module, module.training) for module in model.modules()]
    devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
    try:
        model.eval()
        for encoder in nesting:  # its layers, watched by hooks, cannot take them
            vars(encoder)["use_nested_tensor"] = False
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(devices, key=str)), _uncompiled():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for encoder in nesting:
            vars(encoder)["use_nested_tensor"] = True


def _uncompiled() -> AbstractContextManager[object]:
    """Compiled networks run as they were written, since every gate that is tried would be compiled anew."""
    loaded = "torch._dynamo" in sys.modules  # else nothing is compiled, and loading it takes seconds
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _words(value: Any) -> list[str]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, str)]


def _taking_names(model: nn.Module, example: Mapping[str, Any], inputs: Mapping[str, Any]) -> Call:
    """The call that hands a mapping on: by keyword, or as it is where ``forward`` has no parameters of these names.

    Raises:
        ValueError: If ``forward`` can do neither; where it might, once it has failed.
    """
    if takes(model, inputs):
        return _by_keyword
    if not binds(model, (example,)):
        raise ValueError(why_not_by_name(model, inputs))
    call = _as_one_mapping(example)
    return explained(call, why_not_by_name(model, inputs)) if among_others(model, inputs) else call


def _taking_positions(model: nn.Module, example: Sequence[Any]) -> Call:
    """The call that hands a sequence on.

    Raises:
        ValueError: If ``forward`` does not take so many; where the first holds all of them, once it has failed.
    """
    if not binds(model, example):
        raise ValueError(why_not_by_position(model, example))
    pair = len(example) > 1 and isinstance(example[0], (Mapping, list, tuple)) and first_alone(model, example)
    return explained(_by_position, why_not_by_position(model, example)) if pair else _by_position


def _as_one_mapping(example: Mapping[str, Any]) -> Call:
    return lambda model, inputs: model(with_entries(example, inputs))


def _by_keyword(model: nn.Module, inputs: dict[str, Any]) -> Any:
    return model(**inputs)


def _by_position(model: nn.Module, inputs: dict[str, Any]) -> Any:
    return model(*inputs.values())
