"""A recipe: everything that decides the numbers of a comparison, as a short data file.

The files lie in `recipes/`. Unknown keys, wrong types and impossible values are refused by name.
"""

from argparse import ArgumentError
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jsonargparse import ArgumentParser, Namespace

FOLDER = Path(__file__).parent

Value: TypeAlias = bool | int | float | str
ROW_SETTINGS = ("optimizer", "learning_rate", "mask_learning_rate", "weight_decay", "gradient_clip")
"""Keys of a recipe that a row may set for itself: how it is trained. What it is measured on is the same for all."""
_ARGUMENT = "arguments."


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
        settings: Keys of the recipe that are different for this row, any of `ROW_SETTINGS`.
        tune: What is tried before the seeds are run, key to values: a key of the recipe, or ``arguments.NAME`` of the
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
            if key not in ROW_SETTINGS:
                raise ValueError(
                    f"`settings` and `tune` of a row have the unknown key '{key}'; they know {list(ROW_SETTINGS)}, and "
                    f"`tune` also {_ARGUMENT}NAME."
                )
        empty = [key for key, values in self.tune.items() if not values]
        if empty:
            raise ValueError(f"`tune` must give at least one value for each of {empty}.")

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


@dataclass(frozen=True)
class Recipe:
    """What is compared, on what, and how it is trained.

    Args:
        data: Name of the data set.
        comparison: Rows of the table by name; all see the same splits.
        data_options: Further arguments of the data set's loader.
        seeds: How many seeds; each draws its split, its first weights and its batches.
        first_seed: The first of them.
        tuning_seeds: How many seeds of their own each trial of a row's `tune` is run with.
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
    tuning_seeds: int = 1
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
        for name in ("seeds", "tuning_seeds", "epochs", "batch_size"):
            _expect_at_least(name, getattr(self, name), 1)
        if not self.comparison:
            raise ValueError("`comparison` (={}) must name at least one row.")
        if self.patience is not None:
            _expect_at_least("patience", self.patience, 1)
            if self.select == "last":
                raise ValueError(f"`patience` (={self.patience}) must go with `select: validation`.")
        budgets = {name: len(row.trials()) for name, row in self.comparison.items()}
        if len(set(budgets.values())) > 1:
            raise ValueError(
                f"`tune` must give every row as many trials, so that none is favoured; it gives {budgets}."
            )
        if max(budgets.values()) > 1 and self.select == "last":
            raise ValueError("`tune` needs `select: validation`: trials are compared by validation loss.")
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

    def of_row(self, name: str, trial: Mapping[str, Value] | None = None) -> "Recipe":
        """Return the recipe of one run: this row alone, one of its trials in place, its own settings applied.

        Args:
            name: Of the row.
            trial: One of its `trials`.
        """
        row = self.comparison[name].chosen(trial or {})
        own: dict[str, Any] = row.settings
        return replace(self, comparison={name: replace(row, settings={})}, **own)


def recipe_path(name: str) -> Path:
    """Return the recipe file of that name, one that ships or a path.

    Raises:
        FileNotFoundError: There is none; names those that ship.
    """
    for path in (FOLDER / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    raise FileNotFoundError(f"No recipe '{name}'. It must be a YAML file or one of {known}.")


def add_recipe_arguments(parser: ArgumentParser) -> None:
    """Let a parser read every key of a recipe as an option, and the name of a panel."""
    parser.add_argument("--panel", type=str | None, default=None, help="File of `panels/` with further rows.")
    parser.add_class_arguments(Recipe, fail_untyped=True)


def build_recipe(parser: ArgumentParser, parsed: Namespace) -> Recipe:
    """Return the recipe that was parsed, its own rows before those of its panel.

    Raises:
        ValueError: A row is in both; names it.
    """
    values = parser.instantiate(parsed)
    settings = {key.name: values[key.name] for key in fields(Recipe)}
    if values["panel"] is not None:
        own, more = settings["comparison"], _panel(values["panel"])
        twice = sorted(set(own) & set(more))
        if twice:
            raise ValueError(f"`comparison` and panel '{values['panel']}' both have the rows {twice}.")
        settings["comparison"] = {**own, **more}
    return Recipe(**settings)


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


def _panel(name: str) -> dict[str, Row]:
    """Return the rows of a panel, which several recipes share."""
    path = FOLDER / "panels" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(path.stem for path in path.parent.glob("*.yaml"))
        raise ValueError(f"`panel` (='{name}') must be one of {known}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("comparison", type=dict[str, Row])
    try:
        rows: dict[str, Row] = parser.instantiate(parser.parse_path(path)).comparison
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"Panel '{path}': {error}") from error
    return rows


def _expect_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"`{name}` (={value}) must be at least {least}.")
