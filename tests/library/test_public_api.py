"""The public names and how they are called, as plain data: a change here is a change for users."""

import inspect
import json
import subprocess
import sys
from types import ModuleType

import pytest

import maskfusion as mf

GATE = "weight, threshold, training=False"
FUNCTIONS = {
    "absolute_sum": "weight",
    "hard_gate": GATE,
    "positive_sum": "weight",
    "random_gate": "p, *, rescale=True, always=False",
    "rotation_trick": "z, quantized",
    "signed_sum": "weight",
    "soft_gate": GATE,
    "straight_through": "z, quantized",
    "ternary_gate": GATE,
    "unit_length": "vectors",
}
SCHEDULES = ("PenaltySchedule", "ConstantPenalty", "WarmupPenalty", "SteeredPenalty")
CONTRIBUTION = {
    "Contributions": "metric, absent, modalities, values, shapley, error, orders, kept, zeta",
    "measure_contributions": (
        "model, batches, *, metric=None, absent=zeroed, call=None, modalities=None, orders=None, generator=None"
    ),
}
SIGNATURES = {
    **FUNCTIONS,
    **{f"functional.{name}": text for name, text in FUNCTIONS.items()},
    **CONTRIBUTION,
    **{f"contribution.{name}": text for name, text in CONTRIBUTION.items()},
    "contribution.accuracy": "prediction, target",
    "contribution.by_keyword": "model, inputs",
    "contribution.by_mapping": "model, inputs",
    "contribution.by_position": "model, inputs",
    "contribution.left_out": "name, values, rows",
    "contribution.mean_replaced": "batches",
    "contribution.permuted": "batches, generator=None",
    "contribution.shapley_values": "players, values",
    "contribution.zeroed": "name, values, rows",
    **dict.fromkeys(
        (
            f"Contributions.{name}"
            for name in ("alone", "contradictions", "utilisation", "with_all", "with_none", "without")
        ),
        "property",
    ),
    "Contributions.as_dict": "self",
    "functional.apply_gate": "features, gate, channel_dim=1",
    "functional.complementarity": "shares",
    "functional.kept_ratio": "kept",
    "functional.mask_penalty": "weights, penalty=signed_sum",
    "functional.nearest_code": "vectors, codebook",
    "functional.perplexity": "counts",
    "ComplementaryMask": (
        "channels, *, fusion=None, side='output', entry=None, threshold=0.05, init=0.1, gate=hard_gate, channel_dim=1, "
        "min_channels=0, device=None"
    ),
    "ComplementaryMask.complementary": "self, x, modality=None",
    "ComplementaryMask.contradictory": "self, x, modality=None",
    "ComplementaryMask.exchange": "self, x, shift=1",
    "ComplementaryMask.extra_repr": "self",
    "ComplementaryMask.forward": "self, *args, **kwargs",
    "ComplementaryMask.kept": "property",
    "ComplementaryMask.penalty": "self",
    "ComplementaryMask.reset_parameters": "self",
    "ComplementaryMask.split": "self, x",
    "VectorQuantizer": (
        "dim=64, codebook_size=512, *, decay=0.99, commitment_weight=0.25, channel_dim=1, restart_threshold=0.05, "
        "epsilon=1e-05, constraint=None, gradient=straight_through, on_nonfinite='propagate', process_group=None, device=None"
    ),
    "VectorQuantizer.decode": "self, indices",
    "VectorQuantizer.encode": "self, z",
    "VectorQuantizer.extra_repr": "self",
    "VectorQuantizer.forward": "self, z, mask=None",
    "VectorQuantizer.freeze": "self, frozen=True",
    "VectorQuantizer.reset_parameters": "self",
    "VectorQuantizer.start": "self, z, mask=None, *, iterations=10",
    "VectorQuantizer.usage": "self",
    **{
        f"{name}Quantizer{method}": text
        for name, start in (
            ("Product", "quantizers"),
            ("Projected", "dim, quantizer"),
            ("Residual", "quantizers"),
        )
        for method, text in (
            ("", start),
            (".forward", "self, z, mask=None"),
            (".encode", "self, z"),
            (".decode", "self, indices"),
        )
    },
    "Quantized": "quantized, indices, loss, perplexity",
    **dict.fromkeys(
        (
            "CollapseWarning",
            "MaskWarning",
            "NotFiniteWarning",
            "StuckWarning",
            "UnsettledWarning",
            "UnusedMaskWarning",
        ),
        "warning",
    ),
    "ComplementarityTracker": "model_or_mask, *, collapse_after=5",
    "ComplementarityTracker.complementary": "self",
    "ComplementarityTracker.contradictory": "self",
    "ComplementarityTracker.extra_repr": "self",
    "ComplementarityTracker.get_extra_state": "self",
    "ComplementarityTracker.kept": "self",
    "ComplementarityTracker.mean_zeta": "self, last=5",
    "ComplementarityTracker.metrics": "self",
    "ComplementarityTracker.reset": "self",
    "ComplementarityTracker.settled": "self, last=5",
    "ComplementarityTracker.total": "property",
    "ComplementarityTracker.plot": "self",
    "ComplementarityTracker.rows": "self",
    "ComplementarityTracker.set_extra_state": "self, state",
    "ComplementarityTracker.update": "self, step=None",
    "ComplementarityTracker.zeta": "self, *modalities",
    "Tracked": "masks, records",
    "Tracked.complementary": "self",
    "Tracked.contradictory": "self",
    "Tracked.history": "property",
    "Tracked.kept": "self",
    "Tracked.mean_zeta": "self, last=5",
    "Tracked.metrics": "self",
    "Tracked.plot": "self",
    "Tracked.rows": "self",
    "Tracked.settled": "self, last=5",
    "Tracked.zeta": "self, *modalities",
    "ComplementaryLoss": (
        "task=None, *, reconstruction_weight=1.0, code_weight=1.0, mask_weight=0.0001, penalty=signed_sum"
    ),
    "ComplementaryLoss.extra_repr": "self",
    "ComplementaryLoss.forward": (
        "self, prediction, target, *, inputs=None, reconstructions=None, quantized=None, masks=None"
    ),
    "HeldOutMasks": "model, optimizer, *, process_group=None",
    "HeldOutMasks.release": "self",
    "HeldOutMasks.step": "self, closure, *, scaler=None",
    "LogarithmicPool": "heads, *, allow_missing=True, process_group=None",
    "LogarithmicPool.extra_repr": "self",
    "LogarithmicPool.fit": "self, scores, target, *, ridge=0.01, balanced=False, ignore_index=-100",
    "LogarithmicPool.forward": "self, scores",
    "LogarithmicPool.reset_parameters": "self",
    "LogarithmicPool.shares": "property",
    "LogarithmicPool.weights": "property",
    "LossTerms": "total, task, reconstruction, code, mask",
    "PenaltyHandle": "optimizer, masks, weight, penalty, steps",
    "PenaltyHandle.remove": "self",
    "PenaltySchedule": "",
    "ConstantPenalty": "weight=0.0001",
    "WarmupPenalty": "weight=0.0001, *, steps, delay=0",
    "SteeredPenalty": ("model_or_mask, share, *, start=0.0001, steps=100, lowest=1e-08, highest=1.0"),
    **{f"{name}.value": "property" for name in SCHEDULES},
    **{f"{name}.extra_repr": "self" for name in SCHEDULES[1:]},
    **{f"{name}.{method}": "self" for name in SCHEDULES[::3] for method in ("step", "reset_parameters")},
    "compact": "model, example, *, entry=None, call=None, modalities=None",
    "parameter_groups": "model, *, lr, weight_decay=0.0, mask_lr=None",
    "penalize": "optimizer, model, weight=0.0001, *, penalty=signed_sum",
    "total_penalty": "model, penalty=signed_sum",
    "warm_start": "model, parts",
    "attach": (
        "model, at, example=None, *, channels=None, side='output', entry=None, channel_dim=None, modalities=None, call=None, "
        "name='complementary_mask', **settings"
    ),
    "check": "model, example, *, call=None, modalities=None",
    "detach": "model",
    "Wiring": "wires",
    "Wiring.problems": "property",
    "WiringWarning": "warning",
}


def described(thing: object) -> str:
    """Parameters with their kinds and defaults; a function as default by its name."""
    if isinstance(thing, property):
        return "property"
    if inspect.isclass(thing) and issubclass(thing, Warning):
        return "warning"
    parts: list[str] = []
    for parameter in inspect.signature(thing).parameters.values():
        if (
            parameter.kind is parameter.KEYWORD_ONLY
            and "*" not in parts
            and not any(p[:1] == "*" for p in parts)
        ):
            parts.append("*")
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = parameter.default
        text = getattr(default, "__name__", repr(default))
        parts.append(prefix + parameter.name + ("" if default is parameter.empty else f"={text}"))
    return ", ".join(parts)


def found() -> dict[str, str]:
    """Every public name of the library and how it is called."""
    texts = {}
    for name in mf.__all__:
        thing = getattr(mf, name)
        if isinstance(thing, ModuleType):
            texts.update({f"{name}.{inner}": described(getattr(thing, inner)) for inner in thing.__all__})
            continue
        texts[name] = described(thing)
        if inspect.isclass(thing) and not issubclass(thing, tuple):
            members = {key: value for key, value in vars(thing).items() if not key.startswith("_")}
            called = {
                key: value for key, value in members.items() if isinstance(value, property) or callable(value)
            }
            texts.update({f"{name}.{key}": described(value) for key, value in called.items()})
    return texts


@pytest.mark.unchecked
def test_names_and_signatures() -> None:
    assert found() == SIGNATURES


def test_names_are_sorted_and_there() -> None:
    assert list(mf.__all__) == sorted(mf.__all__)
    assert list(mf.contribution.__all__) == sorted(mf.contribution.__all__)
    assert list(mf.functional.__all__) == sorted(mf.functional.__all__)
    public = {
        name for name, value in vars(mf).items() if name[0] != "_" and not isinstance(value, ModuleType)
    }
    assert public | {"contribution", "functional"} == set(mf.__all__)


def test_everything_public_is_documented() -> None:
    undocumented = []
    for name in SIGNATURES:
        thing: object = mf
        for part in name.split("."):
            thing = getattr(thing, part)
        if not inspect.getdoc(thing):
            undocumented.append(name)
    assert undocumented == []


PROBE = """
import json, sys
import torch, einops, typing_extensions
before = set(sys.modules)
import maskfusion
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """What `import maskfusion` loads on top of torch, einops and typing-extensions, in a fresh interpreter."""
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert run.stderr == "", "no warnings"
    return json.loads(run.stdout)


def test_import_loads_nothing_else(imported: list[str]) -> None:
    packages = {name.split(".")[0] for name in imported}
    assert packages - set(sys.stdlib_module_names) == {"maskfusion"}


def test_import_does_not_load_the_compiler(imported: list[str]) -> None:
    assert [name for name in imported if name.startswith(("torch._dynamo", "torch._inductor"))] == []


def test_import_does_not_load_the_integrations(imported: list[str]) -> None:
    assert [name for name in imported if name.startswith("maskfusion.integrations")] == []


def test_version() -> None:
    assert mf.__version__.count(".") >= 2
