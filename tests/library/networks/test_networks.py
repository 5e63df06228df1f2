"""Other people's networks with a mask in them: equal at first, trained, saved, loaded, and without it again."""

import copy
import inspect
import io
import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import maskfusion as mf
from tests.library.networks import maps, networks, pretrained, vectors
from tests.library.networks.networks import NETWORKS
from tests.library.networks.stepping import TARGET, scores
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight
from tests.support.paths import DOCS

every_network = pytest.mark.parametrize("name", NETWORKS)


def train(name: str, model: nn.Module, mask: mf.ComplementaryMask, batch: Any) -> list[float]:
    """Ten steps on one batch, as anyone would write them; the losses of the task."""
    optimizer = torch.optim.AdamW(mf.parameter_groups(model, lr=0.01, weight_decay=0.01, mask_lr=0.02))
    losses = []
    for _ in range(10):
        task = nn.functional.cross_entropy(scores(name, model, batch), TARGET)
        loss = task + 0.02 * mask.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(task.item())
    return losses


@every_network
@pytest.mark.parametrize("training", [True, False])
def test_at_first_nothing_changes(name: str, training: bool) -> None:
    network = NETWORKS[name]
    model, batch = network.build().train(training), network.batch()
    plain = copy.deepcopy(model)
    mask = network.mask(model, batch)
    results = [scores(name, each, batch) for each in (plain, model)]
    assert torch.equal(*results)
    for result in results:
        nn.functional.cross_entropy(result, TARGET).backward()
    theirs, ours = (
        [value.grad for value in each.parameters() if value is not mask.weight] for each in (plain, model)
    )
    torch.testing.assert_close(ours, theirs)


@every_network
def test_a_closed_modality_has_no_influence_left(name: str) -> None:
    network = NETWORKS[name]
    model, batch = network.build().eval(), network.batch()
    mask = network.mask(model, batch)
    for open_channels in ([0.2, -1.0], [-1.0, 0.2]):
        set_weight(mask, torch.tensor(open_channels).repeat_interleave(WIDTH))
        before, *after = (scores(name, model, each) for each in (batch, *replaced(batch)))
        assert sorted(torch.equal(before, each) for each in after) == [False, True]
    assert mf.check(model, batch).problems == ()


def replaced(batch: Any) -> list[Any]:
    """The same batch with one of its two modalities replaced, and with the other."""
    changed = [copy.deepcopy(batch) for _ in range(2)]
    for place, each in enumerate(changed):
        leaf = tree_leaves(each)[place]
        leaf.copy_(leaf.flip(0))
    return changed


@every_network
def test_it_trains_and_closes_channels(name: str) -> None:
    network = NETWORKS[name]
    model, batch = network.build(), network.batch()
    mask = network.mask(model, batch)
    tracker = mf.ComplementarityTracker(model)
    before = copy.deepcopy(model.state_dict())
    tracker.update()
    losses = train(name, model, mask, batch)
    tracker.update()
    assert losses[-1] < losses[0]
    assert tracker.history[1]["flipped"] == int((~mask.kept).sum()) > 0
    assert bool((mask.weight.grad != 0).all())
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert len(moved) > len(before) / 2, "encoders, fusion and head learn"


@every_network
def test_saved_and_loaded(name: str) -> None:
    network = NETWORKS[name]
    model, again, batch = network.build(), network.build(), network.batch()
    mask, mask_again = network.mask(model, batch), network.mask(again, batch)
    train(name, model, mask, batch)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(mask.kept, mask_again.kept)
    assert torch.equal(*(scores(name, each.eval(), batch) for each in (model, again)))


@every_network
def test_taken_out_again(name: str) -> None:
    network = NETWORKS[name]
    model, batch = network.build(), network.batch()
    plain = copy.deepcopy(model)
    mask = network.mask(model, batch)
    train(name, model, mask, batch)
    take_out(model)
    assert not any(isinstance(module, mf.ComplementaryMask) for module in model.modules())
    plain.load_state_dict(model.state_dict())
    assert torch.equal(*(scores(name, each.eval(), batch) for each in (plain, model)))


def take_out(model: nn.Module) -> None:
    """The network without its mask."""
    if isinstance(getattr(model, "fusion", None), mf.ComplementaryMask):
        model.fusion = model.fusion.fusion
    else:
        mf.detach(model)


def test_lines_are_as_many_as_the_guide_says() -> None:
    guide = (DOCS / "your-model.md").read_text(encoding="utf-8")
    said = {name: int(lines) for name, lines in re.findall(r"^\| (\w+): .*\| (\d+) \|$", guide, re.MULTILINE)}
    counted = {}
    everything = {
        name: value
        for module in (networks, vectors, maps, pretrained)
        for name, value in vars(module).items()
    }
    for name, function in everything.items():
        if name.startswith("mask_"):
            lines = inspect.getsource(function).splitlines()[1:]
            asks = [line for line in lines if re.fullmatch(r"    return [\w.]+", line)]
            counted[name.removeprefix("mask_")] = len(lines) - len(asks)
    assert said == counted
