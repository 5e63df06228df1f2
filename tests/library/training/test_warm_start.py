"""warm_start: every part whole or nothing at all, and what was not carried by name."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import maskfusion as mf
from tests.support.helpers import same_state
from tests.support.messages import Case, check, expect


class Alone(nn.Module):
    """An encoder with a buffer, and a head."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


class Joined(nn.Module):
    """Two encoders, a mask and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"video": Alone(3).encoder, "sound": Alone(5).encoder})
        self.fusion = mf.ComplementaryMask({"video": 4, "sound": 4})
        self.head = nn.Linear(8, 2)


FRESH = ["fusion.weight", "head.weight", "head.bias"]


def alone(width: int) -> Alone:
    """A network that has seen something."""
    network = Alone(width)
    network(torch.randn(6, width))
    return network


@pytest.mark.parametrize("form", ["module", "state", "wrapped"])
def test_every_part_is_carried_with_its_buffers(form: str) -> None:
    joined, networks = Joined(), {"video": alone(3), "sound": alone(5)}
    forms = {"module": lambda part: part, "state": nn.Module.state_dict, "wrapped": AveragedModel}
    parts = {f"encoders.{name}": forms[form](network.encoder) for name, network in networks.items()}
    assert mf.warm_start(joined, parts) == FRESH
    for name, network in networks.items():
        assert same_state(joined.encoders[name], network.encoder)
        assert int(joined.encoders[name][1].num_batches_tracked) == 1
    joined.encoders["video"][0].weight.detach().zero_()
    assert bool(networks["video"].encoder[0].weight.any()), "a copy, not the same tensor"


def test_gradients_and_whether_they_are_wanted_stay() -> None:
    joined = Joined()
    joined.encoders["video"][0].weight.requires_grad_(False)
    mf.warm_start(joined, {"encoders.video": alone(3).encoder})
    assert not joined.encoders["video"][0].weight.requires_grad
    assert joined.encoders["video"][0].bias.requires_grad


def test_other_precision_is_converted() -> None:
    joined, network = Joined(), alone(3).double()
    mf.warm_start(joined, {"encoders.video": network.encoder})
    assert joined.encoders["video"][0].weight.dtype == torch.float32
    assert torch.equal(joined.encoders["video"][0].weight, network.encoder[0].weight.float())


def test_a_part_of_two_names_is_begun_under_both() -> None:
    joined = Joined()
    joined.alias = joined.head
    assert mf.warm_start(joined, {"alias": nn.Linear(8, 2)}) == [
        name for name, _ in joined.named_parameters() if not name.startswith("head")
    ]


def one(path: object, part: object) -> object:
    return mf.warm_start(Joined(), {path: part})


CASES: list[Case] = [
    (lambda: mf.warm_start("model", {"a": Alone()}), TypeError, "`model` (='model') must be a module."),
    (
        lambda: mf.warm_start(Joined(), ["a"]),
        TypeError,
        """`parts` (=['a']) must say what to carry where, as in {"encoders.video": video.encoder}.""",
    ),
    (lambda: mf.warm_start(Joined(), {}), ValueError, "`parts` (={}) must say what to carry where"),
    (
        lambda: one("encoder.video", Alone().encoder),
        ValueError,
        "`parts` holds 'encoder.video'; it must be the path of a part of Joined, such as ['encoders.video',",
    ),
    (
        lambda: one(3, Alone().encoder),
        ValueError,
        "`parts` holds 3; it must be the path of a part of Joined, such as ['encoders',",
    ),
    (
        lambda: one("head", "head.pt"),
        TypeError,
        "`parts['head']` must be a module or its state_dict, got str; a file is read by torch.load.",
    ),
    (lambda: one("head", nn.ReLU()), ValueError, "`parts['head']` has no weights to carry."),
    (
        lambda: one("encoders.video", Alone(5).encoder),
        ValueError,
        (
            "`parts['encoders.video']` does not fit the Sequential there: its '0.weight' has the shape (4, 5) and that of `model` (4, 3). "
            "Nothing was carried; pass the part itself, as in `video.encoder`, built like the one in `model`."
        ),
    ),
    (
        lambda: one("head", nn.Linear(8, 2, bias=False)),
        ValueError,
        "`parts['head']` does not fit the Linear there: it lacks ['bias']. Nothing",
    ),
    (
        lambda: one("encoders.video", Alone()),
        ValueError,
        (
            "does not fit the Sequential there: it lacks ['0.bias', '0.weight', '1.bias', '1.num_batches_tracked'] and 3 more; it also has "
            "['encoder.0.bias', 'encoder.0.weight', 'encoder.1.bias', 'encoder.1.num_batches_tracked'] and 5 more. Nothing"
        ),
    ),
]


@pytest.mark.unchecked
@check(CASES)
def test_message(case: Case) -> None:
    expect(case)


def test_where_one_part_does_not_fit_nothing_is_carried() -> None:
    joined = Joined()
    before = copy.deepcopy(joined)
    with pytest.raises(ValueError, match="Nothing was carried"):
        mf.warm_start(joined, {"encoders.video": alone(3).encoder, "encoders.sound": alone(3).encoder})
    assert same_state(joined, before)
