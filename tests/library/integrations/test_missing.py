"""The callbacks are loaded on use only, and say which package they miss."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "command"),
    [("lightning", "pip install lightning"), ("transformers", "pip install transformers accelerate")],
)
def test_a_missing_package_is_named(package: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (package, f"{package}.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"maskfusion.integrations.{package}", raising=False)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(f"maskfusion.integrations.{package}")
    assert str(caught.value) == f"maskfusion.integrations.{package} needs {package}: {command}"
    assert caught.value.name == package
    assert isinstance(caught.value.__cause__, ImportError)
