"""HeldOutMasks: Omega follows the loss on held-out samples, the weights do not, and nothing else changes."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

import maskfusion as mf
from tests.support.helpers import same_state, set_weight

close = torch.testing.assert_close
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Network(nn.Module):
    """Encoders with statistics and a codebook, two masks, a head with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.audio = nn.Linear(2, 4)
        self.quantizer = mf.VectorQuantizer(4, 8)
        self.early = mf.ComplementaryMask({"image": 4})
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(8, 3))

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        seen = self.early(self.image(image))
        return self.head(self.fusion(seen, self.quantizer(self.audio(audio)).quantized))


def batch(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, generator=generator, dtype=dtype), torch.randn(
        6, 2, generator=generator, dtype=dtype
    )


def started() -> Network:
    """A network in training whose codebook has begun."""
    model = Network()
    model(*batch(9))
    return model


def omegas(model: nn.Module) -> list[Tensor]:
    return [part.weight for part in model.modules() if isinstance(part, mf.ComplementaryMask)]


def adam(model: nn.Module, rate: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.Adam(mf.parameter_groups(model, lr=1.0, mask_lr=rate)[-1:])


def mask() -> nn.Module:
    return nn.Sequential(mf.ComplementaryMask(4), nn.Linear(4, 2))


def held(model: nn.Module, seed: int = 1):
    """The loss on held-out samples, as a closure."""
    return lambda: cross_entropy(model(*batch(seed)), Y)


def test_omega_steps_along_its_gradient_on_held_out_samples() -> None:
    model = started()
    reference = copy.deepcopy(model).eval()
    wanted = torch.autograd.grad(cross_entropy(reference(*batch(1)), Y), omegas(reference))
    step = mf.HeldOutMasks(model, torch.optim.SGD(omegas(model), lr=0.5))
    loss = step.step(held(model))
    close(loss, cross_entropy(reference(*batch(1)), Y).detach())
    for omega, before, gradient in zip(omegas(model), omegas(reference), wanted, strict=True):
        close(omega, before - 0.5 * gradient)
        assert bool(gradient.any())
        assert omega.grad is None


def test_weights_gradients_buffers_and_modes_stay() -> None:
    model = started()
    model.image[1].eval()
    model.audio.bias.requires_grad_(False)
    step = mf.HeldOutMasks(model, adam(model))
    cross_entropy(model(*batch(2)), Y).backward()
    before = copy.deepcopy(model)
    gradients = [None if each.grad is None else each.grad.clone() for each in model.parameters()]
    step.step(held(model))
    after = model.state_dict()
    moved = [key for key, value in before.state_dict().items() if not torch.equal(value, after[key])]
    assert moved == ["early.weight", "fusion.weight"]
    for each, gradient in zip(model.parameters(), gradients, strict=True):
        assert (each.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(each.grad, gradient)
    for name in ("training", "requires_grad"):
        parts = zip(
            *(m.modules() if name == "training" else m.parameters() for m in (model, before)), strict=True
        )
        assert all(getattr(one, name) == getattr(other, name) for one, other in parts)


def test_an_error_in_the_closure_leaves_everything_as_it_was() -> None:
    model = started()
    step = mf.HeldOutMasks(model, adam(model))
    before = copy.deepcopy(model)
    with pytest.raises(ZeroDivisionError):
        step.step(lambda: 1 / 0)
    assert same_state(model, before)
    assert model.training
    assert [each.requires_grad for each in model.parameters()] == [
        each.requires_grad for each in before.parameters()
    ]


def test_no_other_optimizer_moves_omega() -> None:
    model = started()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=1.0)
    step = mf.HeldOutMasks(model, adam(model))
    before = copy.deepcopy(model)
    for seed in range(3):
        optimizer.zero_grad()
        (cross_entropy(model(*batch(seed)), Y) + mf.total_penalty(model)).backward()
        optimizer.step()
    assert all(map(torch.equal, omegas(model), omegas(before)))
    assert not torch.equal(model.head[1].weight, before.head[1].weight)
    step.release()
    cross_entropy(model(*batch(0)), Y).backward()
    optimizer.step()
    assert not torch.equal(model.fusion.weight, before.fusion.weight)


def test_accumulated_gradients_are_what_they_would_be_without_it() -> None:
    model = started().eval()
    plain = copy.deepcopy(model)
    step = mf.HeldOutMasks(model, torch.optim.SGD(omegas(model), lr=0.0))
    for seed in range(3):
        for each in (model, plain):
            (cross_entropy(each(*batch(seed)), Y) / 3).backward()
        step.step(held(model))
    close(model.head[1].weight.grad, plain.head[1].weight.grad)


def test_several_masks_may_share_an_omega_or_make_it() -> None:
    model = nn.Sequential(
        mf.ComplementaryMask(4), mf.ComplementaryMask(4), mf.ComplementaryMask(4), nn.Linear(4, 3)
    )
    model[1].weight = model[0].weight
    parametrize.register_parametrization(model[2], "weight", nn.Identity())
    step = mf.HeldOutMasks(model, adam(model))
    x = torch.randn(6, 4)
    step.step(lambda: cross_entropy(model(x), Y))
    assert all(bool((part.weight != 0.1).all()) for part in model[:3])


def test_a_mask_that_the_loss_does_not_reach_stays() -> None:
    model = started()
    step = mf.HeldOutMasks(model, adam(model))
    step.step(lambda: model.head(model.fusion(torch.randn(6, 8))).square().mean())
    assert bool((model.early.weight == 0.1).all())
    assert bool((model.fusion.weight != 0.1).all())


def test_a_scaled_loss_takes_the_same_step_and_none_where_it_overflows() -> None:
    model = started()
    plain = copy.deepcopy(model)
    optimizer = torch.optim.SGD(mf.parameter_groups(model, lr=0.1)[:1])
    step = mf.HeldOutMasks(model, torch.optim.SGD(omegas(model), lr=0.5))
    reference = mf.HeldOutMasks(plain, torch.optim.SGD(omegas(plain), lr=0.5))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def both(factor: float) -> None:
        model.eval()
        optimizer.zero_grad()
        scaler.scale(cross_entropy(model(*batch()), Y) * 0).backward()
        scaler.step(optimizer)
        step.step(lambda: held(model)() * factor, scaler=scaler)
        scaler.update()

    both(1.0)
    reference.step(held(plain))
    for omega, wanted in zip(omegas(model), omegas(plain), strict=True):
        close(omega, wanted)
    both(float("inf"))
    for omega, wanted in zip(omegas(model), omegas(plain), strict=True):
        close(omega, wanted)
    assert scaler.get_scale() == 512.0


def test_autocast() -> None:
    model = nn.Sequential(nn.Linear(3, 4), mf.ComplementaryMask(4), nn.Linear(4, 3))
    step = mf.HeldOutMasks(model, adam(model))
    with torch.autocast("cpu", torch.bfloat16):
        step.step(lambda: cross_entropy(model(batch()[0]), Y))
    assert model[1].weight.dtype == torch.float32
    assert bool((model[1].weight != 0.1).all())


@pytest.mark.unchecked
@pytest.mark.skipif(
    torch.__version__ < "2.7",
    reason="compiled by PyTorch 2.6, a network holds Omega as a constant; `step` says so",
)
def test_a_compiled_network() -> None:
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(3, 4), mf.ComplementaryMask(4), nn.Linear(4, 3))
    plain = copy.deepcopy(model)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    step, reference = (
        mf.HeldOutMasks(each, torch.optim.SGD(omegas(each), lr=0.5)) for each in (model, plain)
    )
    for seed in range(3):
        for network, each in ((compiled, step), (plain, reference)):
            network.zero_grad()
            cross_entropy(network(batch(seed)[0]), Y).backward()
            each.step(lambda network=network: cross_entropy(network(batch(1)[0]), Y))
    close(model[1].weight, plain[1].weight)
    close(model[0].weight.grad, plain[0].weight.grad)


def noisy(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A modality that tells half of the class, and forty numbers of noise; the class."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (samples,), generator=generator)
    told = (2.0 * target - 1)[:, None] * torch.ones(4) + 2 * torch.randn(samples, 4, generator=generator)
    return torch.cat([told, torch.randn(samples, 40, generator=generator)], 1), target


def learned(*, held_out: bool) -> dict[str, float]:
    """What is open of each modality after training on few samples."""
    torch.manual_seed(0)
    model = nn.Sequential(mf.ComplementaryMask({"told": 4, "noise": 40}), nn.Linear(44, 2))
    groups = mf.parameter_groups(model, lr=0.01, mask_lr=1e-3)
    optimizer = torch.optim.Adam(groups[:1] if held_out else groups)
    step = mf.HeldOutMasks(model, torch.optim.Adam(groups[1:])) if held_out else None
    (x, y), (other, target) = noisy(30, 1), noisy(60, 2)
    for _ in range(300):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        if step is not None:
            step.step(lambda: cross_entropy(model(other), target))
    return mf.ComplementarityTracker(model).kept()


def test_noise_closes_where_omega_follows_held_out_samples_and_not_where_it_follows_the_training_loss() -> (
    None
):
    training, held_out = learned(held_out=False), learned(held_out=True)
    assert training["noise"] > 80
    assert held_out["noise"] < 50
    assert held_out["told"] == 100


def test_the_tracker_has_nothing_to_say_of_it() -> None:
    model = mask()
    step, tracker = mf.HeldOutMasks(model, adam(model, 1e-3)), mf.ComplementarityTracker(model)
    for _ in range(8):
        model(torch.ones(2, 4)).sum().backward()
        step.step(lambda: model(torch.ones(2, 4)).sum())
        tracker.update()
    assert len(tracker.history) == 8


def test_where_nothing_has_moved_the_weights_are_the_same() -> None:
    mask = set_weight(mf.ComplementaryMask(4), [1.0] * 4)
    model = nn.Sequential(mask, nn.Linear(4, 2))
    step = mf.HeldOutMasks(model, torch.optim.SGD([mask.weight], lr=0.0))
    before = copy.deepcopy(model)
    step.step(lambda: model(torch.ones(2, 4)).sum())
    assert same_state(model, before)
