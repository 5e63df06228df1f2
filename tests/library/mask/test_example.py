"""What an example must hold: what `forward` takes, and nothing else; each way of calling a network goes on working."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.attaching import AT, Late


class Whole(Late):
    """Takes one mapping."""

    def forward(self, inputs: dict[str, Any]) -> Tensor:
        return super().forward(inputs["text"], inputs["audio"])


class Spared(Late):
    """Can do without audio."""

    def forward(self, text: Tensor, audio: Tensor | None = None) -> Tensor:
        return super().forward(text, torch.zeros(len(text), 3) if audio is None else audio)


class Single(Late):
    """Takes one input."""

    def forward(self, text: Tensor) -> Tensor:
        return super().forward(text, torch.zeros(len(text), 3))


class Placed(Late):
    """Takes its inputs by position only."""

    def forward(self, text: Tensor, audio: Tensor, /) -> Tensor:
        return super().forward(text, audio)


class Keyed(Late):
    """Takes one input by keyword only, and any others."""

    def forward(self, text: Tensor, *, audio: Tensor, **others: Any) -> Tensor:
        assert not others
        return super().forward(text, audio)


TEXT, AUDIO, LABELS = torch.randn(6, 5), torch.randn(6, 3), torch.arange(6.0)
NAMED = {"text": TEXT, "audio": AUDIO}
BOTH = ["text", "audio"]


def by_name(keys: list[str], kind: str, said: str) -> str:
    """The message of a mapping with these keys."""
    return (
        f"`example` with the keys {keys} must hold the arguments of `forward` of {kind}, {BOTH}, and nothing else: {said}. Or say with "
        f"`call=` how the network is called."
    )


def by_position(length: int, first: bool, kind: str = "Late", names: list[str] = BOTH) -> str:
    """The message of a sequence, all of whose arguments are needed."""
    step = "Give its first entry alone, as of a loader's (inputs, labels)" if first else "Give these"
    return (
        f"`example` of length {length} must hold the arguments of `forward` of {kind}, {names}, and nothing else; it needs {names}. "
        f"{step}, or say with `call=` how the network is called."
    )


REFUSED: dict[str, tuple[type[Late], Any, str]] = {
    "labels among the inputs": (
        Late,
        {**NAMED, "labels": LABELS},
        by_name([*BOTH, "labels"], "Late", "['labels'] are none of them, leave them out"),
    ),
    "labels, where one input alone is needed": (
        Spared,
        {**NAMED, "labels": LABELS},
        by_name([*BOTH, "labels"], "Spared", "['labels'] are none of them, leave them out"),
    ),
    "another name": (
        Late,
        {"text": TEXT, "sound": AUDIO},
        by_name(
            ["text", "sound"],
            "Late",
            "['sound'] are none of them, leave them out; ['audio'] are missing, add them",
        ),
    ),
    "any others, but one that is needed": (
        Keyed,
        {"text": TEXT, "sound": AUDIO},
        by_name(["text", "sound"], "Keyed", "['audio'] are missing, add them"),
    ),
    "by name what is taken by position": (
        Placed,
        NAMED,
        by_name(BOTH, "Placed", "it takes them by position, give a tuple"),
    ),
    "labels at the end": (Late, (TEXT, AUDIO, LABELS), by_position(3, first=False)),
    "inputs by name, and labels": (Late, (NAMED, LABELS), by_position(2, first=True)),
    "inputs by position, and labels": (Late, [(TEXT, AUDIO), LABELS], by_position(2, first=True)),
    "one mapping, and labels": (Whole, (NAMED, LABELS), by_position(2, True, "Whole", ["inputs"])),
    "one input, and labels": (Single, (TEXT, LABELS), by_position(2, True, "Single", ["text"])),
    "one mapping in place of two arguments": (Late, (NAMED,), by_position(1, first=True)),
    "one tensor of two": (Late, TEXT, by_position(1, first=False)),
    "a mapping of inputs and one of labels": (
        Whole,
        (NAMED, {"labels": LABELS}),
        (
            "`example` of 2 mappings, with the keys [['text', 'audio'], ['labels']], must hold the same inputs of every sample. Of a loader's "
            "(inputs, labels) give the first entry alone."
        ),
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", REFUSED)
def test_what_forward_does_not_take_is_named(name: str) -> None:
    build, example, said = REFUSED[name]
    model = build()
    with pytest.raises(ValueError, match=r"\A`example`") as caught:
        mf.attach(model, AT, example)
    assert str(caught.value) == said
    assert list(model.state_dict()) == list(build().state_dict())


@pytest.mark.unchecked
@pytest.mark.parametrize("ask", [mf.check, mf.compact])
def test_check_and_compact_say_the_same(ask: Callable[[nn.Module, Any], object]) -> None:
    model = Late()
    mf.attach(model, AT, NAMED)
    for example in ({**NAMED, "labels": LABELS}, (NAMED, LABELS)):
        with pytest.raises(
            ValueError, match=r"`example` .* must hold the arguments of `forward` of Late, .* `call=`"
        ):
            ask(model, example)


class OneName(Late):
    """Takes one mapping, under the name of one of its keys."""

    def forward(self, text: dict[str, Any]) -> Tensor:
        return super().forward(text["text"], text["audio"])


class Open(Late):
    """Takes anything."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().forward(*args, **kwargs)


class Called(Late):
    """Is called otherwise than its `forward`."""

    def __call__(self, sample: list[Tensor]) -> Any:
        return super().__call__(*sample)


class Helped(Late):
    """Gets an argument from a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(lambda _, args: tuple(args[0]))


TAKEN: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "by name": (Late, NAMED),
    "by position": (Late, (TEXT, AUDIO)),
    "a list by position": (Late, [TEXT, AUDIO]),
    "by keyword only": (Keyed, NAMED),
    "by position only": (Placed, (TEXT, AUDIO)),
    "a default": (Spared, {"text": TEXT, "audio": AUDIO}),
    "a default by position": (Spared, (TEXT, AUDIO)),
    "one mapping": (Whole, {**NAMED, "labels": LABELS}),
    "one mapping by position": (Whole, ({**NAMED, "labels": LABELS},)),
    "one mapping of the name of a key": (OneName, NAMED),
    "any by name": (Open, NAMED),
    "any by position": (Open, (TEXT, AUDIO)),
    "behind a wrapper": (lambda: nn.DataParallel(Late()), NAMED),
}


@pytest.mark.parametrize("name", TAKEN)
def test_each_way_of_calling_a_network_is_taken(name: str) -> None:
    build, example = TAKEN[name]
    model = build()
    mf.attach(model.module if isinstance(model, nn.DataParallel) else model, AT, example)
    assert mf.check(model, example).problems == ()


@pytest.mark.parametrize("build", [Called, Helped])
def test_what_stands_between_a_call_and_forward_may_change_the_arguments(build: type[Late]) -> None:
    model, example = build(), ([TEXT, AUDIO],)
    mf.attach(model, AT, channels={"text": 4, "audio": 2}, channel_dim=1)
    by_hand = {"call": lambda net, x: net([x["text"], x["audio"]])}
    assert mf.check(model, NAMED, **by_hand).problems == ()
    with pytest.raises(
        ValueError, match="`modalities` must say which of the inputs \\['text'\\] are those of \\['audio'\\]"
    ):
        mf.check(model, example)
