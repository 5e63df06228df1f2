"""Whose channels are whose: any layout that could be drawn is read off again, and errors name what is wrong."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskfusion.mask.owners import changed_channels, independent, lay_out, owners

names = st.sampled_from(["a", "b", "c"])
layouts = st.lists(st.lists(names, min_size=1, max_size=9), min_size=1, max_size=4)


@given(layouts)
def test_stretches_of_omega_hold_each_channel_once_and_of_its_owner(owned: list[list[str]]) -> None:
    counts, runs = lay_out(owned)
    omega = [name for name, count in counts.items() for _ in range(count)]
    assert [[omega[i] for start, stop in each for i in range(start, stop)] for each in runs] == owned
    everywhere = [i for each in runs for start, stop in each for i in range(start, stop)]
    assert sorted(everywhere) == list(range(len(omega)))


@given(st.lists(names, min_size=1, max_size=12), st.data())
def test_owners_are_read_off_what_changes(owned: list[str], data: st.DataObject) -> None:
    flags = {name: torch.tensor([each == name for each in owned]) for name in dict.fromkeys(owned)}
    assert owners(flags, "tensor") == owned
    silent = data.draw(st.integers(0, len(owned) - 1))
    beside = {owned[place] for place in (silent - 1, silent + 1) if 0 <= place < len(owned)}
    for flag in flags.values():
        flag[silent] = False
    if owned.count(owned[silent]) == 1:
        with pytest.raises(
            ValueError, match=re.escape(f"no channel of the tensor changes with ['{owned[silent]}']")
        ):
            owners(flags, "tensor")
    elif len(beside) == 1:
        assert owners(flags, "tensor") == [*owned[:silent], *beside, *owned[silent + 1 :]]
    else:
        with pytest.raises(ValueError, match=f"whose channel {silent} of the tensor is cannot be told"):
            owners(flags, "tensor")


def flags_of(**channels: list[int]) -> dict[str, Tensor]:
    return {name: torch.tensor(each, dtype=torch.bool) for name, each in channels.items()}


def test_channels_of_two_and_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"channels of the x change with each of \['a', 'b'\]"):
        owners(flags_of(a=[1, 1, 0], b=[0, 1, 0], c=[0, 0, 1]), "x")
    with pytest.raises(ValueError, match="no channel of the x changes with any input"):
        owners({}, "x")


def test_inputs_that_change_what_others_do_are_no_modalities() -> None:
    flags = flags_of(text=[1, 0], audio=[0, 1], lengths=[1, 1], twin=[1, 0], idle=[0, 0])
    assert list(independent(flags)) == ["text", "audio"]


def test_another_shape_is_a_change_of_every_channel() -> None:
    assert changed_channels(torch.zeros(2, 3), torch.zeros(2, 4), 1).all()
    assert changed_channels(torch.zeros(2, 3), None, 1).all()
    assert changed_channels(torch.zeros(2, 3), torch.tensor([[0.0, 1, 0], [0, 0, 0]]), 1).tolist() == [
        False,
        True,
        False,
    ]
