"""Any other method on the encoders of each modality alone, by `joined+`."""

from pathlib import Path

import pytest
import torch

from examples.errors import UserError
from examples.methods import METHODS, create
from examples.nets.model import build_model, opinion_pool
from examples.recipes import Row
from examples.run.folder import RunFolder
from examples.run.task import FusionTask
from tests.examples.methods.alone_runs import ROWS, SMALL, recipe, same, trained
from tests.examples.run.toy_runs import toy

JOINABLE = sorted(
    set(METHODS)
    - {
        "unimodal",
        "masked_unimodal",
        "joined",
        "joined_pooled",
        "pooled_experts",
        "alone_joined_pooled",
        "alone_validated_pooled",
        "pruned",
    }
)


@pytest.mark.parametrize("name", JOINABLE)
def test_every_other_method_may_begin_with_the_encoders(name: str):
    method, plain = create(f"joined+{name}", {"epochs_after": 1.0}), create(name, {})
    assert isinstance(method, type(plain))
    model = build_model(toy(), SMALL, quantise=False)
    method.configure(model)
    own = build_model(toy(), SMALL, quantise=False)
    plain.configure(own)
    assert list(model.state_dict()) == list(own.state_dict())
    alone = {m: Row("unimodal", quantise=False, arguments={"modality": m}) for m in ("v", "i")}
    assert method.stages(["v", "i"]) == alone
    assert method.rates(model) == {"encoders": 0.1}
    assert method.schedule(recipe()).epochs == 4


def test_a_rival_takes_its_steps_from_the_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """OGM scales gradients of encoders that begin as `joined` does; what it does to them makes another network."""
    seen: list[dict[str, torch.Tensor]] = []
    before = FusionTask.training_step

    def watched(task: FusionTask, *batch: object) -> torch.Tensor:
        if len(task.model.channels) == 2:
            seen.append({name: value.clone() for name, value in task.model.encoders.state_dict().items()})
        return before(task, *batch)

    monkeypatch.setattr(FusionTask, "training_step", watched)
    networks = {}
    for row in ("joined", "ogm", "vote"):
        run, networks[row] = trained(row, RunFolder(tmp_path / row, tmp_path / "stages"))
        assert (run.method, len(run.epochs)) == (ROWS[row].method, 2)
    first = seen[0], seen[len(seen) // 3], seen[2 * len(seen) // 3]
    assert all(torch.equal(first[0][name], other[name]) for other in first[1:] for name in first[0])
    assert not same(networks["joined"].encoders, networks["ogm"].encoders)
    assert int(networks["ogm"].get_buffer("epochs_seen")) == 2
    inputs, _ = toy().test.everything()
    output = networks["vote"](inputs)
    torch.testing.assert_close(output.prediction, opinion_pool([output.joint, *output.unimodal.values()]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "joined+magic",
            r"`method` \(='joined\+magic'\) must be one of \[.*\], or 'joined\+' and one of them",
        ),
        ("joined+unimodal", r"joins 'unimodal', which must be a method that trains one network of all"),
        ("joined+joined_pooled", "joins 'joined_pooled', which must be"),
    ],
)
def test_what_cannot_begin_with_the_encoders(name: str, words: str):
    with pytest.raises(UserError, match=words):
        create(name, {})


def test_unknown_arguments_of_both_are_refused():
    with pytest.raises(
        UserError,
        match=r"method 'joined\+ogm': It has the unknown key 'rate_aftr'; did you mean 'rate_after'",
    ):
        create("joined+ogm", {"rate_aftr": 1.0})
