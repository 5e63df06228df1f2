"""Contributions of real networks: ways of calling them, of taking modalities away, and what is left as it was."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import maskfusion as mf
from maskfusion.contribution import (
    accuracy,
    by_keyword,
    by_mapping,
    by_position,
    mean_replaced,
    permuted,
    zeroed,
)


def data(count: int = 101, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two modalities and a class that the first decides, the second now and then."""
    generator = torch.Generator().manual_seed(seed)
    image, audio = torch.randn(2, count, 3, generator=generator) + 1
    return image, audio, (2 * image[:, 0] + audio[:, 0] > 3).long()


class Net(nn.Module):
    """Concatenates, and has what is easily disturbed: batch norm, dropout, work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 2)
        self.norm.eval()

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        fused = torch.cat([self.first(image), self.first(audio)], 1)
        return self.head(self.drop(self.norm(fused)))


class FromMapping(Net):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return super().forward(inputs["image"], inputs["audio"])


class Pairs(Dataset):
    """Samples as ``({"image": ..., "audio": ...}, class)``, for a loader that collates them."""

    def __init__(self, image: Tensor, audio: Tensor, target: Tensor) -> None:
        self.samples = image, audio, target

    def __len__(self) -> int:
        return len(self.samples[2])

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], Tensor]:
        image, audio, target = (values[index] for values in self.samples)
        return {"image": image, "audio": audio}, target


def loader(size: int = 32) -> DataLoader:
    """Batches of a mapping and a target, the last one smaller."""
    return DataLoader(Pairs(*data()), batch_size=size)


@pytest.fixture
def net() -> FromMapping:
    return FromMapping()


def by_hand(net: nn.Module, image: Tensor, audio: Tensor, target: Tensor) -> float:
    """Accuracy of the whole set at once."""
    evaluated = copy.deepcopy(net).eval()
    prediction = evaluated({"image": image.clone(), "audio": audio.clone()})
    return (prediction.argmax(1) == target).double().mean().item()


def checked(result: mf.Contributions, net: nn.Module, gone_image: Tensor, gone_audio: Tensor) -> None:
    """The score with each set is what it is by hand."""
    image, audio, target = data()
    assert result.values == pytest.approx(
        {
            (): by_hand(net, gone_image, gone_audio, target),
            ("image",): by_hand(net, image, gone_audio, target),
            ("audio",): by_hand(net, gone_image, audio, target),
            ("image", "audio"): by_hand(net, image, audio, target),
        }
    )


def test_zeroed(net) -> None:
    checked(mf.measure_contributions(net, loader()), net, torch.zeros(101, 3), torch.zeros(101, 3))


def test_mean_replaced_is_the_mean_of_the_whole_set(net) -> None:
    result = mf.measure_contributions(net, loader(), absent=mean_replaced(loader(7)))
    image, audio, _ = data()
    checked(result, net, image.mean(0).expand(101, 3), audio.mean(0).expand(101, 3))
    assert result.absent == "mean_replaced"


def test_mean_of_another_set() -> None:
    image, audio, target = data(11, seed=1)
    absent = mean_replaced([((image[:4], audio[:4]), target[:4]), ([image[4:], audio[4:]], target[4:])])
    torch.testing.assert_close(absent("0", torch.zeros(2, 3), range(2)), image.mean(0).expand(2, 3))
    half = absent("1", torch.zeros(2, 3, dtype=torch.float16), range(2))
    torch.testing.assert_close(half, audio.mean(0).expand(2, 3).half())


def test_mean_is_taken_in_float64() -> None:
    values = torch.full((3000, 1), 16.01, dtype=torch.float16)
    absent = mean_replaced([({"image": values}, values)])
    assert absent("image", values.float()[:1], range(1)).item() == values[0].item()


def test_permuted_across_the_whole_set(net) -> None:
    result = mf.measure_contributions(
        net, loader(), absent=permuted(loader(10), torch.Generator().manual_seed(4))
    )
    image, audio, _ = data()
    order = torch.randperm(101, generator=torch.Generator().manual_seed(4))
    checked(result, net, image[order], audio[order])
    assert result.absent == "permuted"
    again = mf.measure_contributions(
        net, loader(64), absent=permuted(loader(), torch.Generator().manual_seed(4))
    )
    assert again == result, "whatever the batches"


def test_permuted_uses_fewer_samples_over_again() -> None:
    pool = torch.tensor([5.0, 6.0])
    absent = permuted([({"image": pool}, pool)])
    drawn = absent("image", torch.zeros(5), range(1, 6))
    assert sorted(drawn[:2].tolist()) == [5.0, 6.0]
    assert drawn[:2].tolist() == drawn[2:4].tolist()
    assert drawn[0] == drawn[4]


def test_an_absence_of_ones_own(net) -> None:
    seen = []

    class Noise:
        def __call__(self, name: str, values: Tensor, rows: range) -> Tensor:
            seen.append((name, rows))
            return torch.full_like(values, 9.0)

    result = mf.measure_contributions(net, loader(51), absent=Noise())
    checked(result, net, torch.full((101, 3), 9.0), torch.full((101, 3), 9.0))
    assert result.absent == "Noise"
    assert seen == [(name, rows) for rows in (range(51), range(51, 101)) for name in ("image", "audio")]


def test_ways_of_calling(net) -> None:
    plain = Net()
    plain.load_state_dict(net.state_dict())
    wanted = mf.measure_contributions(net, loader(), call=by_mapping)
    assert mf.measure_contributions(plain, loader(), call=by_position) == wanted
    assert mf.measure_contributions(plain, loader(), call=by_keyword) == wanted
    triples = DataLoader(TensorDataset(*data()), batch_size=40)
    sequences = (((image, audio), target) for image, audio, target in triples)
    named = {"image": "0", "audio": ["1"]}
    assert mf.measure_contributions(plain, sequences, call=by_position, modalities=named) == wanted
    mappings = (({"image": image, "audio": audio}, target) for image, audio, target in triples)
    assert mf.measure_contributions(net, mappings) == wanted
    classes = mf.measure_contributions(net, loader(), call=lambda model, x: model(x).argmax(1))
    assert classes == wanted


def test_a_modality_of_several_inputs_and_inputs_that_stay() -> None:
    seen = []

    class Text(nn.Module):
        def forward(self, ids: Tensor, mask: Tensor, pixels: Tensor, scale: int, lengths: Tensor) -> Tensor:
            seen.append([bool(values.any()) for values in (ids, mask, pixels, lengths)])
            return scale * lengths

    ones = torch.ones(2, 3, dtype=torch.long)
    inputs = {"ids": ones, "mask": ones.bool(), "pixels": ones.half(), "scale": 2, "lengths": ones[:, 0]}
    result = mf.measure_contributions(
        Text(),
        [(inputs, ones[:, 0])],
        metric=lambda prediction, target: prediction.sum() - target.sum(),
        modalities={"text": ["ids", "mask"], "image": ["pixels"]},
        call=by_keyword,
    )
    assert result.modalities == ("text", "image")
    assert result.with_none == 2
    assert seen == [[text, text, image, True] for text, image in ((0, 0), (1, 0), (0, 1), (1, 1))]
    other = mf.measure_contributions(Text(), [(inputs, ones[:, 0])], modalities=["ids"], call=by_keyword)
    assert other.modalities == ("ids",)
    assert other.with_all == 0


def test_any_metric_over_the_whole_set(net) -> None:
    def recall(prediction: Tensor, target: Tensor) -> float:
        assert len(prediction) == len(target) == 101
        assert not prediction.requires_grad
        return (prediction.argmax(1)[target == 1] == 1).double().mean().item()

    small, large = (mf.measure_contributions(net, loader(size), metric=recall) for size in (10, 101))
    assert small.values == pytest.approx(large.values)
    assert small.metric == "recall"
    assert mf.measure_contributions(net, loader(), metric=lambda *_: 1).shapley == {"image": 0, "audio": 0}


def test_the_model_is_left_as_it_was(net) -> None:
    before = copy.deepcopy(net.state_dict())
    held = [({"image": data()[0], "audio": data()[1]}, data()[2])]
    modes = {name: module.training for name, module in net.named_modules()}
    assert modes["drop"]
    assert not modes["norm"]
    random = torch.get_rng_state()
    first = mf.measure_contributions(net, held)
    assert mf.measure_contributions(net, held) == first, "no dropout, no moving average"
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(held[0][0]["image"], data()[0]), "the data too, though the network works in place"
    assert torch.is_grad_enabled()


def test_the_model_is_left_as_it_was_after_an_error(net) -> None:
    def fail(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        assert not model.drop.training
        raise RuntimeError(len(inputs))

    with pytest.raises(RuntimeError, match="2"):
        mf.measure_contributions(net, loader(), call=fail)
    assert net.drop.training
    assert not net.norm.training
    assert torch.is_grad_enabled()


def test_what_a_trained_network_uses() -> None:
    image, audio, target = data(400)
    net = nn.Linear(6, 2)

    def concatenated(model: nn.Module, x: dict[str, Tensor]) -> Tensor:
        return model(torch.cat([x["image"], x["audio"]], 1))

    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(concatenated(net, {"image": image, "audio": audio}), target)
        loss.backward()
        optimizer.step()
    batches = [({"image": image, "audio": audio}, target)]
    for absent in (zeroed, mean_replaced(batches), permuted(batches, torch.Generator().manual_seed(0))):
        result = mf.measure_contributions(net, batches, call=concatenated, absent=absent)
        assert result.with_all > 0.95
        assert result.shapley["image"] > 1.5 * result.shapley["audio"] > 0
        assert result.utilisation["image"] > result.utilisation["audio"]


def test_batches_go_to_the_device_of_the_model(net) -> None:
    devices = []

    def call(_: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        devices.extend(values.device.type for values in inputs.values())
        return torch.zeros(len(inputs["image"]), dtype=torch.long)

    wanted = mf.measure_contributions(net, loader(), call=call)
    assert mf.measure_contributions(net.to("meta"), loader(), call=call, absent=zeroed) == wanted
    assert set(devices) == {"cpu", "meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(net) -> None:
    absences = (zeroed, mean_replaced(loader()), permuted(loader(), torch.Generator().manual_seed(0)))
    on_cpu = [mf.measure_contributions(net, loader(), absent=absent) for absent in absences]
    on_gpu = [mf.measure_contributions(net.cuda(), loader(), absent=absent) for absent in absences]
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert one.values == pytest.approx(other.values, abs=0.02)
    assert accuracy(torch.tensor([1]), torch.tensor([1])) == 1
    generator = torch.Generator("cuda").manual_seed(0)
    assert mf.measure_contributions(net, loader(), orders=4, generator=generator).orders == 4
    assert mf.measure_contributions(net, loader(), absent=permuted(loader(), generator)).with_all > 0
