"""Fig. 5: complementary and contradictory features in two dimensions, by t-SNE and by principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from examples.data.batches import Draw
from examples.report.reconstruct import parts_of
from examples.run.trained import Trained

FUSED = "all modalities"
PROJECTIONS = ("t-SNE", "PCA")
SIDES = ("complementary", "contradictory")
_COMPONENTS = 50  # that t-SNE starts from, as is usual
_LEAST = 8  # samples that are worth a map
_BATCH = 64

Places = list[list[float]]


@dataclass(frozen=True)
class Space:
    """Where the samples lie.

    Args:
        places: Features of (a modality, or `FUSED`) -> side -> projection -> x and y of each sample, 0 to 1; sides
            without a channel are missing.
        explained: Features -> side -> percent of the variance that each of the two components holds.
        labels: Name of a label to the value of each sample, as words.
        names: Facts about each sample, in words.
    """

    places: dict[str, dict[str, dict[str, Places]]]
    explained: dict[str, dict[str, list[float]]]
    labels: dict[str, list[str]]
    names: list[str]


def project(trained: Trained, *, most: int = 400) -> Space | None:
    """Place samples of the test part by their features; None without a mask, or with too few samples.

    The samples are drawn, and t-SNE started, by the seed of the run.

    Args:
        trained: The run.
        most: Samples that are placed.
    """
    mask, test = trained.model.mask, trained.data.test
    if mask is None or len(test) < _LEAST:
        return None
    drawn = np.random.default_rng(trained.seed).permutation(len(test))[:most]
    positions = np.sort(drawn)
    features = _features(trained, positions)
    places: dict[str, dict[str, dict[str, Places]]] = {}
    explained: dict[str, dict[str, list[float]]] = {}
    for side, parts in features.items():
        for name, values in parts.items():
            if values.shape[1]:
                made, shares = _placed(values, trained.seed)
                places.setdefault(name, {})[side] = made
                explained.setdefault(name, {})[side] = shares
    return Space(places, explained, words_of_labels(trained, positions), words_of(trained, positions))


def words_of_labels(trained: Trained, positions: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the class, where there is one per sample, and the labels of samples of the test part, as words."""
    test, classes = trained.data.test, trained.data.classes
    words = {
        name: [_said(name, int(value), trained.data.values.get(name)) for value in values[positions]]
        for name, values in test.labels.items()
    }
    if trained.data.task == "classification":
        targets = [int(value) for value in test.target[positions]]
        named = [classes[target] if target >= 0 else "not scored" for target in targets]
        return {"class": named, **words}
    return words


def _said(name: str, value: int, words: Sequence[str] | None) -> str:
    """Return the value of a label in words: "speaker theo", "subject 4", "sex unknown"."""
    if words is None:
        return f"{name} {value}"
    return f"{name} {words[value] if 0 <= value < len(words) else 'unknown'}"


def words_of(trained: Trained, positions: NDArray[np.int64]) -> list[str]:
    """Return what is known of samples of the test part: their name, class and labels."""
    data = trained.data
    labels = words_of_labels(trained, positions)
    if "class" in labels:
        labels["class"] = [f"class {word}" for word in labels["class"]]
    names = [
        data.names[data.split.test[position]] if data.names else f"test sample {position}"
        for position in positions
    ]
    return [
        "; ".join([name, *(values[number] for values in labels.values())])
        for number, name in enumerate(names)
    ]


@torch.no_grad()
def _features(trained: Trained, positions: NDArray[np.int64]) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the features of both sides, of every modality and of all, ``(samples, features)``, constant ones left out."""
    model = trained.model
    collected: dict[str, dict[str, list[Tensor]]] = {}
    for start in range(0, len(positions), _BATCH):
        batch = trained.data.test[Draw(positions[start : start + _BATCH].tolist(), None)]
        output = model(batch.inputs)
        parts = parts_of(output.features, model.mask)
        for side in SIDES:
            for name, values in parts[side].items():
                collected.setdefault(side, {}).setdefault(name, []).append(values.flatten(1))
    features = {
        side: {name: torch.cat(blocks).numpy() for name, blocks in parts.items()}
        for side, parts in collected.items()
    }
    whole = {
        side: {FUSED: np.concatenate(list(parts.values()), axis=1), **parts}
        for side, parts in features.items()
    }
    return {
        side: {name: values[:, np.ptp(values, axis=0) > 0] for name, values in parts.items()}
        for side, parts in whole.items()
    }


def _placed(values: NDArray[np.float32], seed: int) -> tuple[dict[str, Places], list[float]]:
    components = min(_COMPONENTS, *values.shape)
    pca = PCA(components, random_state=seed)
    reduced = pca.fit_transform(values - values.mean(axis=0))
    if components == 1:
        reduced = np.pad(reduced, ((0, 0), (0, 1)))
    perplexity = min(30.0, (len(values) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    shares = [100 * float(share) for share in pca.explained_variance_ratio_[:2]]
    return dict(zip(PROJECTIONS, (_scaled(tsne), _scaled(reduced[:, :2])), strict=True)), shares


def _scaled(places: NDArray[np.floating]) -> Places:
    low, high = places.min(axis=0), places.max(axis=0)
    scaled: Places = (
        ((places - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5).round(4).tolist()
    )
    return scaled
