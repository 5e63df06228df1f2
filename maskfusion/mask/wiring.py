"""The proof that a mask does what it says: a closed modality is heard no more, and silences no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from torch import nn
from typing_extensions import override

from maskfusion._table import COLUMNS, aligned, wrapped
from maskfusion.mask.example import Call, Example, read_example, undisturbed
from maskfusion.mask.find import expect_hooks, masks_of
from maskfusion.mask.listening import Heard, Masks, closing, listen
from maskfusion.mask.passing import way_round
from maskfusion.mask.sources import Sources, amended, expect_sources, expect_varied, inputs_of, told

HEAD = ("modality", "inputs", "heard open", "heard closed", "silences")
"""Of the table that ``check`` prints."""


class WiringWarning(UserWarning):
    """The output still depends on a closed modality, or closing one silences another; the message names the way."""


@dataclass(frozen=True)
class Wire:
    """What is heard of one modality."""

    modality: str
    inputs: tuple[str, ...]
    """Names of its inputs."""
    masks: tuple[str, ...]
    """Paths of the masks that have channels of it."""
    heard: bool
    """Whether the output depends on it, all open."""
    closed: bool
    """Whether it still does with its channels closed in every mask."""
    others: tuple[str, ...]
    """Other modalities that are not heard any more with its channels closed."""
    problem: str
    """What is wrong, and what to do; empty where all is right."""


@dataclass(frozen=True)
class Wiring:
    """What ``check`` found, one line per modality; ``print`` shows a table."""

    wires: tuple[Wire, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong and what to do, one sentence each; empty if all is right."""
        return tuple(wire.problem for wire in self.wires if wire.problem)

    @override
    def __str__(self) -> str:
        """A table, then the problems."""
        lines = aligned([HEAD, *chain.from_iterable(map(_rows, self.wires))], words=5)
        if max(map(len, lines)) > COLUMNS:
            lines = aligned([HEAD, *chain.from_iterable(_rows(wire, ",\n") for wire in self.wires)], words=5)
        return "\n".join([*lines, *map(wrapped, self.problems or ["All is right."])])


def check(
    model: nn.Module,
    example: Any,
    *,
    call: Call | None = None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
) -> Wiring:
    """Prove on a small batch that closed modalities do not reach the output of a network.

    In evaluation mode and without gradients, each modality is closed in turn, in all masks. Exchanging its inputs between samples must then leave
    the output unchanged, and exchanging those of other modalities must still change it. The network is left as it was.

    Args:
        model: A network with masks, of ``attach`` or ``ComplementaryMask(fusion=...)``.
        example: Arguments of the network, as for ``attach``.
        call: ``(model, inputs by name) -> output``, as for ``attach``.
        modalities: Inputs of each modality, as for ``attach``.

    Returns:
        A ``Wiring``: ``problems`` is empty if all is right, and ``print`` shows a table.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no mask, a mask's layers have lost it, or ``example`` does not tell the modalities apart.

    Examples:
        >>> from maskfusion import ComplementaryMask
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fusion, self.head = ComplementaryMask({"image": 3, "audio": 2}), nn.Linear(5, 4)
        ...
        ...     def forward(self, image, audio):
        ...         return self.head(self.fusion(image, audio))
        >>> print(check(Net(), {"image": torch.randn(4, 3), "audio": torch.randn(4, 2)}))
        modality  inputs  heard open  heard closed  silences
        image     image   yes         no            -
        audio     audio   yes         no            -
        All is right.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` (={model!r}) must be a module.")
    masks = masks_of(model)
    if not masks:
        raise ValueError(f"`model` ({type(model).__name__}) must hold a ComplementaryMask.")
    expect_hooks(model)
    read = read_example(model, example, call)
    named = {} if modalities is None else expect_sources(modalities, read.inputs)
    sources = amended(told(masks, read.inputs), named)
    with undisturbed(model):
        return prove(masks, model, read, sources)


def _rows(wire: Wire, between: str = ", ") -> list[tuple[str, ...]]:
    """One modality in the table; of inputs and others one per line, where ``between`` has a line break."""
    inputs, others = (between.join(names).split("\n") for names in (wire.inputs, wire.others or ("-",)))
    heard, closed = ("yes" if fact else "no" for fact in (wire.heard, wire.closed))
    return list(zip_longest([wire.modality], inputs, [heard], [closed], others, fillvalue=""))


def prove(masks: Masks, model: nn.Module, example: Example, sources: Sources) -> Wiring:
    """Close each modality and listen; the caller has put the network into evaluation. Sources that are not given are found."""
    channels = [(path, name) for path, mask in masks.items() for name in mask.channels]
    theirs = {name: [each for each in channels if each[1] == name] for _, name in channels}
    if not set(theirs) <= set(sources):
        single: Sources = {name: (name,) for name in expect_varied(example, {})}
        heard = listen(example, single, masks)
        left = {name: listen(example, single, masks, closed) for name, closed in theirs.items()}
        lost = {unit: {name for name in theirs if heard.lost(unit, left[name])} for unit in single}
        sources = {**sources, **inputs_of(list(theirs), example, sources, lost)}
    expect_varied(example, sources)
    heard = listen(example, sources, masks)
    left = {name: listen(example, sources, masks, closed) for name, closed in theirs.items()}
    wires = []
    for name, closed in theirs.items():
        heard_open = bool(heard.joint(name))
        still = heard_open and not heard.lost(name, left[name])
        others = tuple(other for other in theirs if other != name and heard.lost(other, left[name]))
        if not heard_open:
            problem = (
                f"{name!r} is not heard though all its channels are open, so this `example` proves nothing of it. Weights that are zero at "
                f"the start, as in some heads, are one reason: train a step first."
            )
        elif still:
            swapped = others or _misplaced(name, channels, example, sources, masks, heard)
            if swapped:
                problem = (
                    f"Closed, {name!r} is still heard, and {', '.join(map(repr, swapped))} is not: channels stand in another order than "
                    f"`channels` says. Give them in the order in which they are concatenated, or let `attach` find it."
                )
            else:
                with closing(masks, closed):
                    problem = way_round(model, example, name, sources[name], masks)
        elif heard.broken(left[name]):
            problem = f"Closed, {name!r} makes the output NaN or infinite: something divides by the length of its features. Mask behind that."
        elif others:
            problem = (
                f"Closed, {name!r} silences {', '.join(map(repr, others))} too: what joins them multiplies. Mask where zeros do no harm, "
                f"before ones are appended or a term of each alone is added, or leave this fusion without a mask."
            )
        else:
            problem = ""
        paths = tuple(path for path, _ in closed)
        wires.append(Wire(name, sources[name], paths, heard_open, still, others, problem))
    return Wiring(tuple(wires))


def _misplaced(
    name: str,
    channels: Sequence[tuple[str, str]],
    example: Example,
    sources: Sources,
    masks: Masks,
    heard: Heard,
) -> tuple[str, ...]:
    """The modalities that are heard, and this one not, where only this one's channels of one of several masks are open."""
    found = []
    for own in [each for each in channels if each[1] == name and len(masks) > 1]:
        left = listen(example, sources, masks, [each for each in channels if each != own])
        if heard.lost(name, left):
            found += [other for other in sources if other != name and not heard.lost(other, left)]
    return tuple(dict.fromkeys(found))
