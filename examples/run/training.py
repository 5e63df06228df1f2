"""One run: the hooks of a method in Lightning's loop, its checkpoints, and what came out of it."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from examples.data.contract import MultimodalData
from examples.errors import UserError
from examples.methods import create
from examples.methods.base import Method
from examples.nets.model import FusionModel, build_model
from examples.recipes import Recipe
from examples.results import EpochRecord, Run
from examples.results.statistics import finite
from examples.run.folder import RunFolder
from examples.run.hardware import PATIENCE, Hardware, Log, company, first_process
from examples.run.loaders import FusionData
from examples.run.task import FusionTask, read_records
from examples.run.trained import network_of
from maskfusion import ComplementarityTracker

LOGGERS: dict[Log, type[CSVLogger] | type[TensorBoardLogger]] = {
    "csv": CSVLogger,
    "tensorboard": TensorBoardLogger,
}
_CHOOSES = "validation/loss"


def train(
    row: str,
    recipe: Recipe,
    data: MultimodalData,
    *,
    seed: int,
    folder: RunFolder,
    hardware: Hardware | None = None,
    loggers: tuple[Log, ...] = (),
    progress: bool = False,
    resume: bool = True,
    on_epoch: Callable[[int, EpochRecord], None] = lambda *_: None,
    on_stage: Callable[[str, int, EpochRecord], None] = lambda *_: None,
    initialise: Callable[[FusionModel], None] = lambda _: None,
) -> Run:
    """Train one row of the table with one seed, score the chosen weights once on the test part.

    What the method wants trained first is trained first, each stage in a folder of its own; its time counts.

    After every epoch ``last.ckpt`` holds everything that is needed to go on. A run that was killed and goes on
    gives the same numbers, up to the seconds, as one that was not.

    Args:
        row: Name of the row in the recipe.
        recipe: Method, arguments, and everything else that decides the numbers.
        data: All modalities; the method chooses.
        seed: Seed of weights and batches.
        folder: Folder of checkpoints and logs.
        hardware: One process on the CPU by default. One CPU thread gives the same numbers each time.
        loggers: "csv", "tensorboard".
        progress: Whether to show a bar while an epoch runs.
        resume: Whether a run that was cut short in `folder` continues.
        on_epoch: Function called with number and record after each epoch, in the first process only.
        on_stage: Function called with the name of a stage, and number and record, after each epoch of it.
        initialise: Function called with the whole network before the first step, to change its start; not when a run
            goes on.

    Raises:
        UserError: The epoch is to be chosen by a validation part, and there is none; the machine lacks the hardware; or
            another process of the run is gone, or has another folder.
    """
    hardware = hardware or Hardware()
    setting = recipe.comparison[row]
    method = create(setting.method, setting.arguments)
    recipe.network.expect_pooled(data.modalities)
    data = data.select(method.inputs(list(data.modalities)))
    if data.names and first_process():
        data.split.write(folder.split, data.names)
    if recipe.select == "validation" and data.validation is None:
        raise UserError(
            f"`select` (='validation') needs a validation part; '{data.name}' is split without one."
        )
    runs, networks = _train_stages(
        method, recipe, data, seed=seed, folder=folder, hardware=hardware, on_stage=on_stage
    )
    last = method.schedule(recipe)
    recipe = recipe if last is None else last
    batches = replace(data, train=method.learns_from(data.train))
    with _quiet(), _convolutions(recipe.precision), company(hardware):
        seed_everything(seed, verbose=False)
        model = build_model(data, recipe.network, quantise=setting.quantise)
        task = FusionTask(model, method, recipe, data, seed=seed, on_epoch=on_epoch)
        loaders = FusionData(batches, recipe.batch_size, seed=seed, readers=hardware.readers)
        trainer = _trainer(
            recipe, folder, hardware, loggers, progress=progress, validate=data.validation is not None
        )
        start = folder.last if resume and folder.last.is_file() else None
        if start is None:
            method.start(model, networks)
            initialise(model)
        if last is None:
            _complete(task, trainer, loaders, folder)
        else:
            trainer.fit(task, loaders, ckpt_path=start, weights_only=True)
        chosen = len(task.records)
        if recipe.select == "validation":
            chosen = _load_best(task, folder.best)
        trainer.test(task, loaders, verbose=False)
        alone = task.scores_alone(loaders.test_dataloader())
    return Run(
        row=row,
        seed=seed,
        method=setting.method,
        quantise=setting.quantise,
        channels=dict(model.channels),
        score=task.test_score,
        chosen=chosen,
        parameters=sum(weights.numel() for weights in model.parameters()),
        alone=alone,
        seconds=task.seconds + sum(run.seconds for run in runs),
        processor_seconds=task.processor_seconds + sum(run.processor_seconds for run in runs),
        epochs=task.records,
        left_out=dict(data.left_out),
        **_shares(model, task.tracker),
    )


def train_once(
    row: str,
    recipe: Recipe,
    data: MultimodalData,
    *,
    seed: int,
    folder: RunFolder,
    hardware: Hardware,
    on_epoch: Callable[[int, EpochRecord], None],
) -> Run:
    """Return what `train` does, from its folder where it is finished; its checkpoints stay. Others that want the same run wait.

    Args:
        row: Name of the row in the recipe.
        recipe: Recipe of that row.
        data: All modalities.
        seed: Seed of weights and batches.
        folder: Folder of the run.
        hardware: Parts of the machine to use.
        on_epoch: Function called with number and record after each epoch.

    Raises:
        UserError: The folder holds a run with other settings.
    """
    with folder.alone() if first_process() else nullcontext():
        run = folder.claim(row, seed, recipe) if first_process() else folder.read_result()
        if run is None:
            run = train(row, recipe, data, seed=seed, folder=folder, hardware=hardware, on_epoch=on_epoch)
            if first_process():
                folder.finish(run, keep=True)
    return run


def _train_stages(
    method: Method,
    recipe: Recipe,
    data: MultimodalData,
    *,
    seed: int,
    folder: RunFolder,
    hardware: Hardware,
    on_stage: Callable[[str, int, EpochRecord], None],
) -> tuple[list[Run], dict[str, FusionModel]]:
    """Train what the method wants trained first, where that is not done yet; return results and networks."""
    runs, networks = [], {}
    for name, row in method.stages(list(data.modalities)).items():
        own = replace(recipe, comparison={name: row})
        where = folder.stage(name, seed, own)
        run = train_once(
            name, own, data, seed=seed, folder=where, hardware=hardware, on_epoch=partial(on_stage, name)
        )
        runs.append(run)
        path = where.best if own.select == "validation" else where.last
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        alone = create(row.method, row.arguments)
        seen = data.select(alone.inputs(list(data.modalities)))
        networks[name] = network_of(checkpoint, alone, seen, own.network, quantise=row.quantise)
    return runs, networks


def _complete(task: FusionTask, trainer: Trainer, loaders: FusionData, folder: RunFolder) -> None:
    """Do once what each epoch ends with, for a network that is finished with its stages, and keep it as one epoch would."""
    trainer.validate(task, loaders, verbose=False)
    task.record_untrained(loaders.data.train.loader(loaders.batch_size))
    for path in (folder.best, folder.last):
        trainer.save_checkpoint(path, weights_only=True)


def _trainer(
    recipe: Recipe,
    folder: RunFolder,
    hardware: Hardware,
    loggers: tuple[Log, ...],
    *,
    progress: bool,
    validate: bool,
) -> Trainer:
    callbacks: list[Callback] = []
    if recipe.patience is not None:
        callbacks.append(EarlyStopping(_CHOOSES, patience=recipe.patience, min_delta=0.0))
    if recipe.select == "validation":
        callbacks.append(_checkpoint(folder.best, monitor=_CHOOSES))
    callbacks.append(_checkpoint(folder.last))
    if progress:
        callbacks.append(RichProgressBar())
    writers: list[Logger] = [LOGGERS[name](folder.path, name=name) for name in loggers]
    try:
        return Trainer(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="auto" if hardware.alone else DDPStrategy(timeout=PATIENCE),
            precision=recipe.precision,
            gradient_clip_val=recipe.gradient_clip,
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            logger=writers or False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validate else 0,
            use_distributed_sampler=False,
            sync_batchnorm=not hardware.alone and hardware.accelerator != "cpu",
            log_every_n_steps=1,
        )
    except MisconfigurationException as error:
        raise UserError(f"`accelerator` (='{hardware.accelerator}'): {error}") from error


def _checkpoint(path: Path, *, monitor: str | None = None) -> ModelCheckpoint:
    return ModelCheckpoint(
        path.parent,
        filename=path.stem,
        monitor=monitor,
        save_weights_only=monitor is not None,  # nothing goes on from there
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def _load_best(task: FusionTask, path: Path) -> int:
    """Load the chosen weights and return their epoch, from 1."""
    checkpoint: dict[str, Any] = torch.load(path, map_location=task.device, weights_only=True)
    task.load_state_dict(checkpoint["state_dict"])
    return len(read_records(checkpoint))


def _shares(model: FusionModel, tracker: ComplementarityTracker | None) -> dict[str, Any]:
    if tracker is None:  # nothing is masked: every channel is open
        total = sum(model.channels.values())
        complementary = {name: 100 * count / total for name, count in model.channels.items()}
        kept = dict.fromkeys(model.channels, 100.0)
        return {"complementary": complementary, "kept": kept, "zeta": 1.0 if len(kept) > 1 else None}
    now = tracker.metrics()
    return {
        "complementary": {name: now[f"compl/{name}"] for name in model.channels},
        "kept": {name: now[f"kept/{name}"] for name in model.channels},
        "zeta": finite(now["zeta"]),
    }


@contextmanager
def _convolutions(precision: str) -> Iterator[None]:
    """Do without oneDNN in bfloat16: PyTorch 2.13's makes narrow maps of memory that nobody wrote.

    Seen with stride 2 on maps up to four wide: forwards from ten high on, in the gradient of the weights from one
    high on, on processors with AVX512 or AMX.
    """
    backend: Any = torch.backends.mkldnn
    before = backend.enabled
    backend.enabled = before and precision != "bf16-mixed"
    try:
        yield
    finally:
        backend.enabled = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence tips, advice on loaders without processes, and surprise at a folder that is ours."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        yield
