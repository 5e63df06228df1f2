"""ComplementaryLoss: named terms first, then one weighted sum."""

import copy

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, set_weight

SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
LABELS = torch.tensor([0, 1])
TASK = oracle.cross_entropy(array(SCORES), [0, 1])


def quantized(loss: float) -> mf.Quantized:
    """A result with this loss."""
    return mf.Quantized(
        torch.zeros(1), torch.zeros(1, dtype=torch.int64), torch.tensor(loss), torch.tensor(1.0)
    )


def mask(*omega: float) -> mf.ComplementaryMask:
    """A mask with this Omega."""
    return set_weight(mf.ComplementaryMask([len(omega)]), omega)


def values(terms: mf.LossTerms) -> dict[str, float]:
    """The terms as numbers, by name."""
    assert all(isinstance(term, Tensor) and term.ndim == 0 for term in terms)
    return {name: term.item() for name, term in terms._asdict().items()}


def test_a_network_with_just_a_mask() -> None:
    terms = values(mf.ComplementaryLoss(mask_weight=0.5)(SCORES, LABELS, masks=mask(1.0, -3.0)))
    assert list(terms) == ["total", "task", "reconstruction", "code", "mask"]
    assert terms == pytest.approx(
        {"total": TASK - 1.0, "task": TASK, "reconstruction": 0.0, "code": 0.0, "mask": -2.0}, abs=1e-6
    )


def test_everything_at_once() -> None:
    inputs = {"image": torch.randn(2, 3, 4, 4), "audio": torch.randn(2, 7)}
    outputs = {"audio": torch.randn(2, 7), "image": torch.randn(2, 3, 4, 4)}
    loss = mf.ComplementaryLoss(reconstruction_weight=2.0, code_weight=3.0, mask_weight=0.1)
    terms = values(
        loss(
            SCORES,
            LABELS,
            inputs=inputs,
            reconstructions=outputs,
            quantized={"image": quantized(0.25), "audio": quantized(0.5)},
            masks=[mask(1.0, 2.0), mask(4.0)],
        )
    )
    reconstruction = oracle.reconstruction(
        *({k: array(v) for k, v in part.items()} for part in (inputs, outputs))
    )
    expected = {"task": TASK, "reconstruction": reconstruction, "code": 0.75, "mask": 7.0}
    expected["total"] = TASK + 2 * reconstruction + 3 * 0.75 + 0.1 * 7
    assert terms == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [list, tuple, lambda items: dict(zip("ab", items, strict=True))])
def test_forms_of_quantized(kind) -> None:
    terms = mf.ComplementaryLoss()(SCORES, LABELS, quantized=kind([quantized(1.0), quantized(2.0)]))
    assert terms.code.item() == 3.0


def test_default_weights_are_the_papers() -> None:
    loss = mf.ComplementaryLoss()
    assert (loss.reconstruction_weight, loss.code_weight, loss.mask_weight) == (1.0, 1.0, 1e-4)
    assert isinstance(loss.task, nn.CrossEntropyLoss)
    terms = loss(SCORES, LABELS, quantized=[quantized(2.0)], masks=mask(5.0))
    assert terms.total.item() == pytest.approx(TASK + 2.0 + 5e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [(mf.signed_sum, -2.0), (mf.absolute_sum, 4.0), (mf.positive_sum, 1.0), (lambda w: w.max() * 10, 10.0)],
)
def test_penalty(penalty, expected: float) -> None:
    terms = mf.ComplementaryLoss(penalty=penalty)(SCORES, LABELS, masks=[mask(1.0, -3.0)])
    assert terms.mask.item() == pytest.approx(expected)


def test_penalty_is_what_the_mask_says() -> None:
    one = mask(0.3, -0.2, 0.7)
    assert torch.equal(mf.ComplementaryLoss()(SCORES, LABELS, masks=one).mask, one.penalty())


def test_own_task() -> None:
    loss = mf.ComplementaryLoss(nn.L1Loss())
    terms = loss(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]))
    assert terms.task.item() == terms.total.item() == 2.0


def test_a_learned_task_is_part_of_the_module() -> None:
    task = nn.CrossEntropyLoss(weight=torch.ones(3))
    assert "task.weight" in mf.ComplementaryLoss(task).state_dict()


def test_gradients_reach_everything() -> None:
    scores = SCORES.clone().requires_grad_()
    x, output = torch.randn(2, 3), torch.randn(2, 3, requires_grad=True)
    z = torch.randn(4, 4, requires_grad=True)
    codes = mf.VectorQuantizer(4, 3)(z)
    one = mask(0.3, -0.2)
    loss = mf.ComplementaryLoss(mask_weight=0.25)
    terms = loss(scores, LABELS, inputs={"x": x}, reconstructions={"x": output}, quantized=[codes], masks=one)
    terms.total.backward()
    assert one.weight.grad.tolist() == [0.25, 0.25]
    torch.testing.assert_close(output.grad, 2 * (output.detach() - x) / 6)
    assert scores.grad.abs().sum() > 0
    assert z.grad.abs().sum() > 0


def test_terms_are_not_weighted() -> None:
    heavy = mf.ComplementaryLoss(mask_weight=100.0, code_weight=7.0)
    terms = heavy(SCORES, LABELS, masks=mask(1.0), quantized=[quantized(2.0)])
    assert (terms.mask.item(), terms.code.item()) == (1.0, 2.0)


def test_call_changes_nothing() -> None:
    loss = mf.ComplementaryLoss(nn.CrossEntropyLoss(torch.ones(3)))
    before = copy.deepcopy(loss.state_dict())
    loss(SCORES, LABELS)
    assert torch.equal(loss.state_dict()["task.weight"], before["task.weight"])
