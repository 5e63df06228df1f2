"""What the ``forward`` of a network takes, held against the example that it is to be called with."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from torch import nn

from maskfusion.mask.features import BY_POSITION, parameters_of
from maskfusion.mask.wrappers import behind_wrappers

BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def takes(model: nn.Module, inputs: Mapping[str, Any]) -> bool:
    """Whether ``forward`` can be called with these keywords."""
    parameters = parameters_of(model)
    kinds = {parameter.kind for parameter in parameters.values()}
    plain = [parameter for parameter in parameters.values() if parameter.kind in BY_NAME]
    required = {parameter.name for parameter in plain if parameter.default is Parameter.empty}
    known = Parameter.VAR_KEYWORD in kinds or set(inputs) <= {parameter.name for parameter in plain}
    return known and required <= set(inputs) and Parameter.POSITIONAL_ONLY not in kinds


def names_by_position(model: nn.Module, count: int) -> list[str]:
    """Names for so many positional inputs: those of ``forward``, and numbers where it has no more."""
    names = [parameter.name for parameter in parameters_of(model).values() if parameter.kind in BY_POSITION]
    return [*names[:count], *(str(position) for position in range(len(names), count))]


def binds(model: nn.Module, arguments: Sequence[Any]) -> bool:
    """Whether ``forward`` can be called with so many positional arguments; True where that cannot be known."""
    inner = behind_wrappers(model)
    parameters = list(parameters_of(inner).values())
    if not parameters or inner._forward_pre_hooks or type(inner).__call__ is not nn.Module.__call__:
        return True  # what is between the call and `forward` may change the arguments
    try:
        Signature(parameters).bind(*arguments)
    except TypeError:
        return False
    return True


def among_others(model: nn.Module, inputs: Mapping[str, Any]) -> bool:
    """Whether all arguments that ``forward`` needs are among these inputs, by name."""
    names = [parameter.name for parameter in parameters_of(model).values() if parameter.kind in BY_NAME]
    own = {name: inputs[name] for name in names if name in inputs}
    return bool(own) and takes(model, own)


def first_alone(model: nn.Module, example: Sequence[Any]) -> bool:
    """Whether ``forward`` can be called with the first entry alone: inputs by name, by position, or one input."""
    first = example[0]
    if isinstance(first, Mapping) and takes(model, first):
        return True
    one_input = len(example) > 1 and binds(model, (first,))
    return one_input or (isinstance(first, (list, tuple)) and binds(model, first))


def why_not_by_name(model: nn.Module, inputs: Mapping[str, Any]) -> str:
    """What keeps ``forward`` from taking these keywords, and what to do."""
    names, needed = _plain(model)
    open_ended = any(each.kind is Parameter.VAR_KEYWORD for each in parameters_of(model).values())
    extra = [name for name in inputs if name not in names and not open_ended]
    missing = [name for name in needed if name not in inputs]
    said = [f"{extra} are none of them, leave them out"] if extra else []
    said += [f"{missing} are missing, add them"] if missing else []
    return (
        f"`example` with the keys {list(inputs)} must hold the arguments of `forward` of {_kind(model)}, {names}, and nothing else: "
        f"{'; '.join(said) or 'it takes them by position, give a tuple'}. Or say with `call=` how the network is called."
    )


def why_not_by_position(model: nn.Module, example: Sequence[Any]) -> str:
    """What keeps ``forward`` from taking these by position, and what to do."""
    names, needed = _plain(model)
    first = "Give its first entry alone, as of a loader's (inputs, labels)"
    return (
        f"`example` of length {len(example)} must hold the arguments of `forward` of {_kind(model)}, {names}, and nothing else; it needs "
        f"{needed}. {first if first_alone(model, example) else 'Give these'}, or say with `call=` how the network is called."
    )


def explained(call: Callable[[nn.Module, Any], Any], reason: str) -> Callable[[nn.Module, Any], Any]:
    """The same call; where the network cannot take what it is given, the reason is said.

    Raises:
        ValueError: With this reason, from what the network raises.
    """

    def run(model: nn.Module, inputs: Any) -> Any:
        try:
            return call(model, inputs)
        except Exception as error:
            raise ValueError(reason) from error

    return run


def _plain(model: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the arguments of ``forward``, and those without a default."""
    plain = [each for each in parameters_of(model).values() if each.kind in {*BY_POSITION, *BY_NAME}]
    return [each.name for each in plain], [each.name for each in plain if each.default is Parameter.empty]


def _kind(model: nn.Module) -> str:
    return type(behind_wrappers(model)).__name__
