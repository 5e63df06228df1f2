"""Each modality alone first: the networks pooled, joined, or joined and pooled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

import maskfusion as mf
from examples.data.contract import Batch
from examples.methods.base import Method
from examples.methods.complementary_mask import MaskedFusion
from examples.nets.model import JOINT, TOGETHER, FusionModel
from examples.recipes import Recipe, Row

Ridge = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class AloneFirst(Method):
    """Train a network of each modality alone, as the row `unimodal` does, and begin with their encoders."""

    def stages(self, available: Sequence[str]) -> dict[str, Row]:
        """Train each modality alone."""
        return {
            name: Row("unimodal", quantise=False, arguments={"modality": name})
            for name in self.inputs(available)
        }

    def start(self, model: FusionModel, stages: Mapping[str, FusionModel]) -> None:
        """Take over the encoders."""
        super().start(model, stages)
        mf.warm_start(model, {f"encoders.{name}": stages[name].encoders[name] for name in model.encoders})


@dataclass(frozen=True)
class PooledExperts(AloneFirst):
    """Pool the networks of single modalities: no joint network, nothing but their weights, which validation sets.

    Args:
        ridge: Strength of the pull towards equal weights.

    Reference: see `maskfusion.LogarithmicPool`.
    """

    ridge: Ridge = 0.01

    def schedule(self, recipe: Recipe) -> Recipe | None:
        """Train nothing more."""
        del recipe
        return None

    def configure(self, model: FusionModel) -> None:
        """Replace the joint head by a pool."""
        super().configure(model)
        model.pool_unimodal_heads()

    def start(self, model: FusionModel, stages: Mapping[str, FusionModel]) -> None:
        """Take over the heads too."""
        super().start(model, stages)
        mf.warm_start(model, {f"unimodal_heads.{name}": alone.head for name, alone in stages.items()})

    def before_validation(self, model: FusionModel, validation: Iterable[Batch]) -> None:
        """Set the weights."""
        fit_pool(model, validation, ridge=self.ridge)


@dataclass(frozen=True)
class Joined(AloneFirst):
    """Join the networks of single modalities: a new head on their encoders, all trained together for a shorter time.

    The head has everything to learn and the encoders little, so it learns at a higher rate.

    Args:
        epochs_after: Epochs of the joint training, over those of each modality alone.
        rate_after: Learning rate of the new head; the recipe's is that of the modalities alone. Omega keeps its own.
        encoder_factor: Learning rate of the encoders, over that of the head.
        frozen: Whether the encoders stay as they are.
    """

    epochs_after: PositiveFloat = 0.5
    rate_after: PositiveFloat = 3e-3
    encoder_factor: PositiveFloat = 0.1
    frozen: bool = False

    def schedule(self, recipe: Recipe) -> Recipe | None:
        """Shorten the training and change its rate."""
        return replace(
            recipe,
            epochs=max(round(self.epochs_after * recipe.epochs), 1),
            learning_rate=self.rate_after,
            mask_learning_rate=recipe.mask_learning_rate or recipe.learning_rate,
        )

    def rates(self, model: FusionModel) -> dict[str, float]:
        """Let the encoders learn slowly."""
        return {**super().rates(model), "encoders": self.encoder_factor}

    def configure(self, model: FusionModel) -> None:
        """Freeze the encoders if wanted."""
        super().configure(model)
        if self.frozen:
            model.rest_encoders()


@dataclass(frozen=True)
class JoinedPooled(Joined):
    """Join them, and pool the joint network with those of single modalities, which are kept as they were.

    Args:
        together: Whether the row `concatenation` is trained first and pooled too: it may learn what encoders trained alone do not.
        ridge: Strength of the pull towards equal weights.
    """

    together: bool = False
    ridge: Ridge = 0.01

    def stages(self, available: Sequence[str]) -> dict[str, Row]:
        """Train all together too if wanted."""
        stages = super().stages(available)
        return {**stages, TOGETHER: Row("concatenation", quantise=False)} if self.together else stages

    def configure(self, model: FusionModel) -> None:
        """Add the other networks and the pool."""
        super().configure(model)
        model.add_experts(together=self.together)

    def start(self, model: FusionModel, stages: Mapping[str, FusionModel]) -> None:
        """Keep each as it is."""
        super().start(model, stages)
        mf.warm_start(model.experts, dict(stages))

    def before_validation(self, model: FusionModel, validation: Iterable[Batch]) -> None:
        """Set the weights of the pool, so that the epoch is chosen by what the pool says."""
        fit_pool(model, validation, ridge=self.ridge)


@dataclass(frozen=True)
class AloneJoinedPooled(JoinedPooled, MaskedFusion):
    """The same with a mask on the joint network. Arguments are those of both."""


@torch.no_grad()
def fit_pool(model: FusionModel, validation: Iterable[Batch], *, ridge: float) -> None:
    """Fit the pool of a network on a validation part.

    Args:
        model: Network with a pool, in evaluation mode.
        validation: Batches, on its device.
        ridge: Strength of the pull towards equal weights.
    """
    if model.pool is None:
        raise ValueError("`model` has no pool.")
    scores: dict[str, list[Tensor]] = {name: [] for name in model.pool.heads}
    targets = []
    for batch in validation:
        output = model(batch.inputs)
        said = {JOINT: output.joint, **output.unimodal}
        for name, values in scores.items():
            values.append(said[name])
        targets.append(batch.target)
    target = torch.cat(targets)
    heads = {name: torch.cat(values) for name, values in scores.items()}
    model.pool.fit(heads, target, ridge=ridge, balanced=counts_classes(target))


def counts_classes(target: Tensor) -> bool:
    """Return whether the score counts every class the same: mIoU does, where each pixel has a class; accuracy counts every sample the same."""
    return target.ndim > 1
