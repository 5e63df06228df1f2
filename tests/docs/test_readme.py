"""The README: its Python blocks run as they stand, one after the other, beside a small model of the reader's own; what PyPI shows of it."""

import re
from typing import Any

import pytest
import tomllib
import torch
from torch import Tensor, nn

from tests.support.paths import ROOT

README = ROOT / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class ReadersModel(nn.Module):
    """No fusion layer, as most networks."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder, self.audio_encoder = nn.Linear(12, 64), nn.Linear(8, 64)
        self.head = nn.Linear(128, 3)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.image_encoder(image), self.audio_encoder(audio)], dim=1))


def taken_for_granted() -> dict[str, Any]:
    """What the README takes for granted: a model, its loss, and batches."""
    torch.manual_seed(0)
    loader = [
        ({"image": torch.randn(4, 12), "audio": torch.randn(4, 8)}, torch.tensor([0, 1, 2, 0]))
        for _ in range(3)
    ]
    return {"model": ReadersModel(), "criterion": nn.CrossEntropyLoss(), "loader": loader, "epochs": 2}


def test_what_pypi_shows_leads_nowhere_but_to_the_web() -> None:
    settings = tomllib.loads(README.with_name("pyproject.toml").read_text(encoding="utf-8"))
    shown = README.read_text(encoding="utf-8")
    for rule in settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        shown = re.sub(rule["pattern"], rule["replacement"], shown)
    assert re.findall(r"\]\(((?!https:)[^)]*)\)", shown) == []
    assert all(block in shown for block in BLOCKS)


def test_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 900


def test_readme_has_python_blocks() -> None:
    assert len(BLOCKS) >= 1


def test_readme_blocks_run(capsys: pytest.CaptureFixture[str]) -> None:
    names = taken_for_granted()
    for block in BLOCKS:
        exec(compile(block, README.name, "exec"), names)  # noqa: S102
    told = capsys.readouterr().out
    assert "of its own" in told
    assert "Shapley" in told
