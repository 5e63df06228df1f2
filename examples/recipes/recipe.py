"""A recipe: everything that decides the numbers of a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field, replace
from itertools import product
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from examples.errors import UserError
from examples.typed import KNOWN_KEYS, build, explained

Value: TypeAlias = bool | int | float | str
ROW_SETTINGS = ("epochs", "optimizer", "learning_rate", "mask_learning_rate", "weight_decay", "gradient_clip")
"""Keys of a recipe that a row may set for itself: how it is trained. What it is measured on is the same for all."""
_ARGUMENT, _NETWORK = "arguments.", "network."


@dataclass(frozen=True, config=KNOWN_KEYS)
class Network:
    """Sizes of the network; the defaults are the published ones.

    Args:
        encoder: Encoder of images: "vqvae", the published convolutions, "resnet18", or "pyramid", the same with skip connections
            back to a fine grid, to score pixels; sequences keep their own beside these.
            "plain" is for images and sequences, a few convolutions of stride 2 with batch norm and the mean over their
            maps; its head has two layers. Vectors always keep their own.
        pooling: Modality name to extra max-pools of stride 2 in its encoder, 0 when not named; its decoder undoes
            them. The published spectrogram has one.
        width: Channels inside encoders and decoders.
        residual_width: Channels inside a residual block.
        residual_blocks: Residual blocks in a row.
        latent: D, channels of each modality's latent and length of a code.
        codes: K, codes of each modality's codebook.
        decay: Decay of the codebook's moving averages.
        commitment: Beta, weight of the commitment term.
        restart: A code used less than this share of its fair part starts anew.
        resnet_width: Channels of the first stage of ResNet-18; each stage has twice as many as the one before.
        resnet_stages: Stages of ResNet-18, 2 to 4; with fewer the latent's grid is finer.
        plain_layers: Convolutions of a plain encoder.
        head_width: Channels inside the head.
        head_residual_width: Channels inside a residual block of the head.
        head_hidden: Width of the head's hidden layer.
        dropout: Dropout in the head.
    """

    encoder: Literal["vqvae", "resnet18", "pyramid", "plain"] = "vqvae"
    pooling: dict[str, NonNegativeInt] = field(default_factory=dict)
    width: PositiveInt = 128
    residual_width: PositiveInt = 32
    residual_blocks: NonNegativeInt = 2
    latent: PositiveInt = 64
    codes: PositiveInt = 512
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    commitment: NonNegativeFloat = 0.25
    restart: NonNegativeFloat = 0.05
    resnet_width: PositiveInt = 64
    resnet_stages: Annotated[int, Field(ge=2, le=4)] = 4
    plain_layers: PositiveInt = 3
    head_width: PositiveInt = 32
    head_residual_width: PositiveInt = 8
    head_hidden: PositiveInt = 256
    dropout: Annotated[float, Field(ge=0, le=1)] = 0.5

    def expect_pooled(self, modalities: Iterable[str]) -> None:
        """Refuse to pool what is not among the modalities of a data set."""
        known = list(modalities)
        unknown = sorted(set(self.pooling) - set(known))
        if unknown:
            raise UserError(f"`pooling` has unknown names {unknown}; the data has {known}.")


@dataclass(frozen=True, config=KNOWN_KEYS)
class LossWeights:
    """Weights of two terms of Eq. 1. The weight of the mask, lambda, belongs to the method that has a mask.

    Args:
        reconstruction: Weight of L_recons, Eq. 2.
        code: Weight of L_code, Eq. 3.
    """

    reconstruction: float = 1.0
    code: float = 1.0


@dataclass(frozen=True, config=KNOWN_KEYS)
class Row:
    """One row of the table.

    Args:
        method: A name that `examples.methods` knows.
        quantise: Whether each modality has a quantiser and a decoder, so L_code and L_recons too.
        arguments: Arguments of the method.
        settings: Keys of the recipe that are different for this row, any of `ROW_SETTINGS`, or ``network.NAME`` for a size.
        tune: Settings to try before the seeds are run, key to values: a key of the recipe, or ``arguments.NAME`` of the
            method. All combinations are tried; the one with the lowest validation task loss is used.
    """

    method: str
    quantise: bool = True
    arguments: dict[str, Value] = field(default_factory=dict)
    settings: dict[str, Value] = field(default_factory=dict)
    tune: dict[str, list[Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what a row cannot set, and keys without values."""
        for key in (*self.settings, *(key for key in self.tune if not key.startswith(_ARGUMENT))):
            if key not in ROW_SETTINGS and not key.startswith(_NETWORK):
                raise UserError(
                    f"`settings` and `tune` of a row have the unknown key '{key}'; they know {list(ROW_SETTINGS)} and "
                    f"{_NETWORK}NAME, and `tune` also {_ARGUMENT}NAME."
                )
        empty = [key for key, values in self.tune.items() if not values]
        if empty:
            raise UserError(f"`tune` must give at least one value for each of {empty}.")

    def trials(self) -> list[dict[str, Value]]:
        """Return all combinations of what is to be tried; one without anything where that is nothing."""
        return [dict(zip(self.tune, values, strict=True)) for values in product(*self.tune.values())]

    def chosen(self, trial: Mapping[str, Value]) -> "Row":
        """Return this row with one of its `trials` in place, and nothing left to try."""
        arguments = {
            key.removeprefix(_ARGUMENT): value for key, value in trial.items() if key.startswith(_ARGUMENT)
        }
        settings = {key: value for key, value in trial.items() if not key.startswith(_ARGUMENT)}
        return replace(self, arguments=self.arguments | arguments, settings=self.settings | settings, tune={})


@dataclass(frozen=True, config=KNOWN_KEYS)
class Recipe:
    """What is compared, on what, and how it is trained.

    Args:
        data: Name of the data set.
        comparison: Rows of the table by name; all see the same splits.
        data_options: Further arguments of the data set's loader.
        seeds: Number of seeds; each draws its split, its first weights and its batches.
        first_seed: The first of them.
        tuning_seeds: Number of separate seeds that each trial of a row's `tune` is run with.
        epochs: Passes over the training data.
        batch_size: Samples in a step, over all processes.
        optimizer: Adam with decoupled weight decay, or stochastic gradient descent with momentum 0.9.
        learning_rate: Learning rate at the start, of one cycle the highest.
        schedule: The rate falls to zero along a cosine, or stays, or rises first, through the first three tenths of all
            steps (one cycle: L. Smith and N. Topin, "Super-Convergence", 2019; PyTorch's defaults).
        weight_decay: Weight decay of everything but Omega.
        mask_learning_rate: Learning rate of Omega; the same when not given.
        gradient_clip: Largest norm of the gradient of all weights together.
        precision: Precision of the arithmetic, in Lightning's words.
        select: Weights that are scored: the last ones, or those with the lowest validation task loss.
        patience: Stop after so many epochs without a lower validation task loss.
        loss: Weights of Eq. 1.
        network: Sizes.
    """

    data: str
    comparison: dict[str, Row]
    data_options: dict[str, bool | int | float | list[int] | list[str] | dict[str, str] | str] = field(
        default_factory=dict
    )
    seeds: PositiveInt = 3
    first_seed: NonNegativeInt = 0
    tuning_seeds: PositiveInt = 1
    epochs: PositiveInt = 60
    batch_size: PositiveInt = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["cosine", "constant", "one-cycle"] = "cosine"
    weight_decay: NonNegativeFloat = 0.0
    mask_learning_rate: Annotated[float | None, Field(gt=0)] = None
    gradient_clip: Annotated[float | None, Field(gt=0)] = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    select: Literal["last", "validation"] = "last"
    patience: Annotated[int | None, Field(gt=0)] = None
    loss: LossWeights = field(default_factory=LossWeights)
    network: Network = field(default_factory=Network)

    def __post_init__(self) -> None:
        """Refuse an empty table, and what only goes with a validation part."""
        if not self.comparison:
            raise UserError("`comparison` (={}) must name at least one row.")
        if self.patience is not None and self.select == "last":
            raise UserError(f"`patience` (={self.patience}) must go with `select: validation`.")
        budgets = {name: len(row.trials()) for name, row in self.comparison.items()}
        if len(set(budgets.values())) > 1:
            raise UserError(
                f"`tune` must give every row as many trials, so that none is favoured; it gives {budgets}."
            )
        if max(budgets.values()) > 1 and self.select == "last":
            raise UserError("`tune` needs `select: validation`: trials are compared by validation loss.")

    def rows(self, names: Sequence[str] | None = None) -> dict[str, Row]:
        """Return the rows called `names`, in the recipe's order; all of them when none are named."""
        if not names:
            return dict(self.comparison)
        unknown = [name for name in names if name not in self.comparison]
        if unknown:
            raise UserError(f"`rows` has unknown names {unknown}; the recipe has {list(self.comparison)}.")
        return {name: row for name, row in self.comparison.items() if name in names}

    def of_row(self, name: str, trial: Mapping[str, Value] | None = None) -> "Recipe":
        """Return the recipe of one run: this row alone, one of its trials in place, its own settings applied.

        Args:
            name: Name of the row.
            trial: One of its `trials`.

        Raises:
            UserError: A setting of the row, or of the trial, is no value of that key, or its network has no such size.
        """
        row, where = self.comparison[name].chosen(trial or {}), f"Row '{name}'"
        own: dict[str, Any] = {key: value for key, value in row.settings.items() if key in ROW_SETTINGS}
        sizes = {key.removeprefix(_NETWORK): value for key, value in row.settings.items() if key not in own}
        network = build(Network, {**asdict(self.network), **sizes}, where) if sizes else self.network
        with explained(Recipe, where):
            return replace(self, comparison={name: replace(row, settings={})}, network=network, **own)
