"""A recipe: everything that decides the numbers of a comparison, as a short data file.

The files lie in `recipes/`. Unknown keys, wrong types and impossible values are refused by name.
"""

from argparse import ArgumentError
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Network:
    """Sizes of the network; the defaults are the published ones.

    Args:
        encoder: Of images: "vqvae", the published convolutions, or "resnet18". Sequences and vectors keep their own.
        pooling: Modality name to extra max-pools of stride 2 in its encoder, 0 when not named; its decoder undoes
            them. The published spectrogram has one.
        width: Channels inside encoders and decoders.
        residual_width: Channels inside a residual block.
        residual_blocks: Residual blocks in a row.
        latent: D, channels of each modality's latent and length of a code.
        codes: K, codes of each modality's codebook.
        decay: Of the codebook's moving averages.
        commitment: Beta, weight of the commitment term.
        restart: A code used less than this share of its fair part starts anew.
        resnet_width: Channels of the first stage of ResNet-18; each stage has twice as many as the one before.
        resnet_stages: Stages of ResNet-18, 2 to 4; with fewer the latent's grid is finer.
        head_width: Channels inside the head.
        head_residual_width: Channels inside a residual block of the head.
        head_hidden: Width of the head's hidden layer.
        dropout: In the head.
    """

    encoder: Literal["vqvae", "resnet18"] = "vqvae"
    pooling: dict[str, int] = field(default_factory=dict)
    width: int = 128
    residual_width: int = 32
    residual_blocks: int = 2
    latent: int = 64
    codes: int = 512
    decay: float = 0.99
    commitment: float = 0.25
    restart: float = 0.05
    resnet_width: int = 64
    resnet_stages: int = 4
    head_width: int = 32
    head_residual_width: int = 8
    head_hidden: int = 256
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse sizes below one, and stages that ResNet-18 does not have."""
        for name in (
            "width",
            "residual_width",
            "latent",
            "codes",
            "resnet_width",
            "head_width",
            "head_residual_width",
            "head_hidden",
        ):
            _expect_at_least(name, getattr(self, name), 1)
        _expect_at_least("residual_blocks", self.residual_blocks, 0)
        for name, steps in self.pooling.items():
            _expect_at_least(f"pooling.{name}", steps, 0)
        if not 2 <= self.resnet_stages <= 4:
            raise ValueError(f"`resnet_stages` (={self.resnet_stages}) must be 2, 3 or 4.")

    def expect_pooled(self, modalities: Iterable[str]) -> None:
        """Refuse to pool what is not among the modalities of a data set."""
        known = list(modalities)
        unknown = sorted(set(self.pooling) - set(known))
        if unknown:
            raise ValueError(f"`pooling` has unknown names {unknown}; the data has {known}.")


@dataclass(frozen=True)
class LossWeights:
    """Weights of two terms of Eq. 1. The weight of the mask, lambda, belongs to the method that has a mask.

    Args:
        reconstruction: Of L_recons, Eq. 2.
        code: Of L_code, Eq. 3.
    """

    reconstruction: float = 1.0
    code: float = 1.0


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        method: A name that `examples.methods` knows.
        quantise: Whether each modality has a quantiser and a decoder, so L_code and L_recons too.
        arguments: Of the method.
    """

    method: str
    quantise: bool = True
    arguments: dict[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What is compared, on what, and how it is trained.

    Args:
        data: Name of the data set.
        comparison: Rows of the table by name; all see the same splits.
        data_options: Further arguments of the data set's loader.
        seeds: How many seeds; each draws its split, its first weights and its batches.
        first_seed: The first of them.
        epochs: Passes over the training data.
        batch_size: Samples in a step, over all processes.
        optimizer: Adam with decoupled weight decay, or stochastic gradient descent with momentum 0.9.
        learning_rate: Its rate at the start.
        schedule: The rate falls to zero along a cosine, or stays.
        weight_decay: On everything but Omega.
        mask_learning_rate: Of Omega; the same when not given.
        gradient_clip: Largest norm of the gradient of all weights together.
        precision: Of the arithmetic, in Lightning's words.
        select: Which weights are scored: the last ones, or those with the lowest validation task loss.
        patience: Stop after so many epochs without a lower validation task loss.
        loss: Weights of Eq. 1.
        network: Sizes.
    """

    data: str
    comparison: dict[str, Row]
    data_options: dict[str, bool | int | float | list[int] | list[str] | str] = field(default_factory=dict)
    seeds: int = 3
    first_seed: int = 0
    epochs: int = 60
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.0
    mask_learning_rate: float | None = None
    gradient_clip: float | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    select: Literal["last", "validation"] = "last"
    patience: int | None = None
    loss: LossWeights = field(default_factory=LossWeights)
    network: Network = field(default_factory=Network)

    def __post_init__(self) -> None:
        """Refuse counts below one and an empty table."""
        for name in ("seeds", "epochs", "batch_size"):
            _expect_at_least(name, getattr(self, name), 1)
        if not self.comparison:
            raise ValueError("`comparison` (={}) must name at least one row.")
        if self.patience is not None:
            _expect_at_least("patience", self.patience, 1)
            if self.select == "last":
                raise ValueError(f"`patience` (={self.patience}) must go with `select: validation`.")
        if self.gradient_clip is not None and self.gradient_clip <= 0:
            raise ValueError(f"`gradient_clip` (={self.gradient_clip}) must be above 0.")

    def rows(self, names: Sequence[str] | None = None) -> dict[str, Row]:
        """Return the rows called `names`, in the recipe's order; all of them when none are named."""
        if not names:
            return dict(self.comparison)
        unknown = [name for name in names if name not in self.comparison]
        if unknown:
            raise ValueError(f"`rows` has unknown names {unknown}; the recipe has {list(self.comparison)}.")
        return {name: row for name, row in self.comparison.items() if name in names}


def recipe_path(data: str) -> Path:
    """Return the recipe that ships for a data set."""
    return FOLDER / f"{data}.yaml"


def add_recipe_arguments(parser: ArgumentParser) -> None:
    """Let a parser read a recipe file and every key of it as an option."""
    parser.add_argument("--recipe", action="config", help="Recipe file (default: the data set's own).")
    parser.add_class_arguments(Recipe, fail_untyped=True)


def build_recipe(parser: ArgumentParser, parsed: Namespace) -> Recipe:
    """Return the recipe that was parsed."""
    values = parser.instantiate(parsed)
    return Recipe(**{key.name: values[key.name] for key in fields(Recipe)})


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file.

    Raises:
        ValueError: An unknown key or a wrong value, named.
    """
    parser = ArgumentParser(exit_on_error=False)
    add_recipe_arguments(parser)
    try:
        return build_recipe(parser, parser.parse_path(path))
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"Recipe '{path}': {error}") from error


def _expect_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"`{name}` (={value}) must be at least {least}.")
