"""Samples of the test part, and what is made of each part of their channels, as pictures."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.batches import Draw
from examples.pictures import Overlay, Picture, drawing
from examples.report.reconstruct import predict, reconstruct
from examples.report.space import words_of
from examples.run.trained import Trained


@dataclass(frozen=True)
class Gallery:
    """Pictures of one modality, or of predictions.

    Args:
        title: Title of the gallery.
        first: Pictures on the left, "input" or "target".
        inputs: A picture a sample.
        parts: Name of a part, see `examples.report.reconstruct.PARTS`, to one picture per sample.
        captions: Facts about each sample.
        legend: Colour to name of a class; empty where pictures have no classes.
    """

    title: str
    first: str
    inputs: list[Picture]
    parts: dict[str, list[Picture]]
    captions: list[str]
    legend: dict[str, str]


def galleries(trained: Trained, *, samples: int = 6) -> list[Gallery]:
    """Return a gallery for each modality with a decoder, and one of predictions where each pixel has a class.

    Args:
        trained: The run; samples are drawn by its seed.
        samples: Number of samples, of as many different classes as there are.
    """
    positions = choose(trained, samples)
    batch = trained.data.test[Draw(positions.tolist(), None)]
    captions = words_of(trained, positions)
    made = []
    if trained.data.task == "segmentation":
        overlay = Overlay()
        below = _values(trained, next(iter(batch.inputs)), next(iter(batch.inputs.values())))
        predicted = predict(trained.model, batch.inputs)
        made.append(
            Gallery(
                title="Prediction from each part",
                first="target",
                inputs=overlay.draw(batch.target.numpy(), below),
                parts={
                    part: overlay.draw(scores.argmax(1).numpy(), below) for part, scores in predicted.items()
                },
                captions=captions,
                legend={
                    colour: name
                    for number, name in enumerate(trained.data.classes)
                    if (colour := overlay.colour(number)) is not None
                },
            )
        )
    reconstructed = reconstruct(trained.model, batch.inputs)
    for name in trained.data.modalities if reconstructed else ():
        how = drawing(trained.data.name, name, trained.data.modalities[name].kind)
        inputs = _values(trained, name, batch.inputs[name])
        parts = {
            part: how.draw(_values(trained, name, values[name]), inputs)
            for part, values in reconstructed.items()
        }
        made.append(Gallery(name, "input", how.draw(inputs, inputs), parts, captions, {}))
    return made


def choose(trained: Trained, count: int) -> NDArray[np.int64]:
    """Return positions in the test part, drawn by the seed of the run, of as many different classes as there are."""
    test = trained.data.test
    order = np.random.default_rng(trained.seed).permutation(len(test))
    targets = test.target.numpy()
    first: dict[tuple[int, ...], int] = {}
    for position in order:
        first.setdefault(tuple(np.unique(targets[position]).tolist()), int(position))
    distinct = list(first.values())
    rest = [int(position) for position in order if int(position) not in set(distinct)]
    return np.array([*distinct, *rest][: min(count, len(test))], dtype=np.int64)


def _values(trained: Trained, name: str, values: torch.Tensor) -> NDArray[np.float32]:
    return trained.data.in_units(name, values).numpy()
