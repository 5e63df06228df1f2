"""Made-up modalities with dials: who knows which part of the label, and what gets in the way.

The label is a number of `bits` fair coins, so there are ``2 ** bits`` classes. Shares of it are handed out along a line from 0 to 1,
in this order: redundancy, unique of each modality, synergy; what is left is in no modality. Bit k lies on the line from
``k / bits`` to ``(k + 1) / bits``. Where that is all within one share, the bit goes the same way in every sample; where it is not, its way
is drawn for each sample, with the odds of the parts.

=============== ==========================================================================
way of a bit    what the modalities show
=============== ==========================================================================
redundancy      every modality shows it
unique          one modality shows it
synergy         each shows a fair coin, and their sum modulo 2 is the bit: nothing without all
in no modality  nobody shows it
=============== ==========================================================================

A modality has two places for each bit, one for the bit itself and one for its coin, and shows -1, 1, or 0 for nothing; so it is seen
whether something is shown. These ``2 * bits`` numbers are turned into `features` by a random matrix with orthonormal rows, and noise is
added.

Reference: the names of the parts are those of Williams and Beer, 2010 (partial information decomposition).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from string import ascii_lowercase

import numpy as np
import torch
from torch import Tensor

from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.place import Finding, Place
from examples.data.splits import Split
from examples.errors import UserError

SOURCE = "It is made up while it is loaded; there is nothing to get."
BACKGROUND = 0.3
"""Noise of a modality unless told otherwise: it turns a bit round once in 2,300 samples."""


@dataclass(frozen=True)
class Dials:
    """Who knows what. Tuples have one number per modality, as many as `unique`, and modalities are called "a", "b", ...

    Args:
        redundancy: Share of the label, in [0, 1], that every modality shows.
        unique: Share that this modality alone shows.
        synergy: Share that all modalities show together and no fewer of them.
        noise: Standard deviation of the normal noise on each number that is shown, which is -1 or 1.
        conflict: Share of samples in which the modality shows another label, drawn at random, and random coins.
        scale: Factor of all values of the modality, applied last. It changes no information.
        bits: Bits of the label.

    Raises:
        UserError: Names the dial, its value and the rule.
    """

    redundancy: float = 0.5
    unique: tuple[float, ...] = (0.25, 0.25)
    synergy: float = 0.0
    noise: tuple[float, ...] = (BACKGROUND, BACKGROUND)
    conflict: tuple[float, ...] = (0.0, 0.0)
    scale: tuple[float, ...] = (1.0, 1.0)
    bits: int = 4

    def __post_init__(self) -> None:
        """Refuse impossible dials."""
        count = len(self.unique)
        if not 2 <= count <= len(ascii_lowercase):
            raise UserError(
                f"`unique` (={self.unique}) must have 2 to {len(ascii_lowercase)} numbers, one per modality."
            )
        for name in ("noise", "conflict", "scale"):
            if len(getattr(self, name)) != count:
                raise UserError(
                    f"`{name}` (={getattr(self, name)}) must have {count} numbers, as `unique` has."
                )
        for name in ("redundancy", "unique", "synergy", "conflict"):
            if not all(0 <= number <= 1 for number in _numbers(getattr(self, name))):
                raise UserError(f"`{name}` (={getattr(self, name)}) must be in [0, 1].")
        if not all(0 <= number < math.inf for number in self.noise):
            raise UserError(f"`noise` (={self.noise}) must be at least 0.")
        if not all(0 < number < math.inf for number in self.scale):
            raise UserError(f"`scale` (={self.scale}) must be above 0.")
        if not 1 <= self.bits <= 10:
            raise UserError(f"`bits` (={self.bits}) must be from 1 to 10.")
        total = self.redundancy + sum(self.unique) + self.synergy
        if total > 1 + 1e-9:
            raise UserError(
                f"`redundancy`, `unique` and `synergy` add up to {total:.6g}; it must be at most 1."
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(ascii_lowercase[: len(self.unique)])

    @property
    def _edges(self) -> Tensor:
        """Where on the line the shares end: redundancy, unique of each, synergy, nobody; ``(modalities + 3,)``, float64."""
        shares = torch.tensor([self.redundancy, *self.unique, self.synergy], dtype=torch.float64)
        return torch.cat([shares.cumsum(0).clamp(max=1), torch.ones(1, dtype=torch.float64)])


def generate(
    dials: Dials, samples: int, *, features: int = 32, seed: int = 0
) -> tuple[dict[str, Tensor], Tensor]:
    """Draw samples. All of one data set must come from one call: the matrices are drawn anew in each.

    Before `scale`, a modality that shows anything has a mean of 0 and a mean square of 1, over samples and features.

    Args:
        dials: The shares, noise and conflict of each modality.
        samples: Number of samples.
        features: Numbers in a sample of a modality; at least ``2 * dials.bits``.
        seed: Seed of everything that is drawn. The same seed gives the same numbers.

    Returns:
        Modality name to values, ``(samples, features)``, float32; and labels, ``(samples,)``, int64, below ``2 ** dials.bits``.

    Raises:
        UserError: If there are too few samples or features.
    """
    if samples < 1:
        raise UserError(f"`samples` (={samples}) must be at least 1.")
    if features < 2 * dials.bits:
        raise UserError(f"`features` (={features}) must be at least {2 * dials.bits}, two for each bit.")
    generator = torch.Generator().manual_seed(seed)
    count, shape = len(dials.unique), (samples, dials.bits)

    def coins(*sizes: int) -> Tensor:
        return torch.randint(2, sizes, generator=generator)

    bits, keys = coins(*shape), coins(count, *shape)
    keys[-1] = (bits - keys[:-1].sum(0)) % 2
    places = torch.arange(dials.bits) + torch.rand(shape, generator=generator, dtype=torch.float64)
    way = torch.bucketize(places / dials.bits, dials._edges[:-1], right=True)
    inputs = {}
    for index, name in enumerate(dials.modalities):
        wrong = torch.rand(samples, 1, generator=generator) < dials.conflict[index]
        shown = (way == 0) | (way == 1 + index), way == 1 + count
        said = torch.where(wrong, coins(*shape), bits), torch.where(wrong, coins(*shape), keys[index])
        signal = torch.cat([(2 * value - 1) * there for value, there in zip(said, shown, strict=True)], dim=1)
        mixing = torch.linalg.qr(torch.randn(features, 2 * dials.bits, generator=generator)).Q.T
        noise = dials.noise[index] * torch.randn(samples, features, generator=generator)
        share = dials.redundancy + dials.unique[index] + dials.synergy
        spread = math.sqrt(dials.bits * share / features + dials.noise[index] ** 2)
        inputs[name] = (signal.float() @ mixing + noise) * (dials.scale[index] / (spread or 1.0))
    return inputs, (bits << torch.arange(dials.bits)).sum(1)


def ceiling(dials: Dials, present: Iterable[str] | None = None) -> float:
    r"""Return the accuracy of one who sees some modalities, knows the dials, and is told the way of each bit and who conflicts.

    No classifier does better, over many samples. Bayes' rule does as well if

    - there is no conflict, and there is no noise or each bit always goes the same way (shares are multiples of ``1 / bits``), or
    - one modality conflicts and there is no noise.

    With hits h, the chance to read a bit, given who tells the truth, it is the mean over conflicts of

    .. math:: \prod_k \sum_{\text{ways } w} p_k(w)\, h_w, \quad h = \Phi\Bigl(\sqrt{\textstyle\sum_m \sigma_m^{-2}}\Bigr)
        \text{ if shown, } \tfrac12 + \tfrac12 \prod_m (2 \Phi(\sigma_m^{-1}) - 1) \text{ in synergy, else } \tfrac12 .

    Args:
        dials: The shares, noise and conflict of each modality.
        present: Names of the modalities that are seen; all if None.

    Raises:
        UserError: If a modality is unknown.
    """
    present = set(dials.modalities if present is None else present)
    unknown = sorted(present - set(dials.modalities))
    if unknown:
        raise UserError(f"`present` has {unknown}; the modalities are {list(dials.modalities)}.")
    seen = [index for index, name in enumerate(dials.modalities) if name in present]
    return math.fsum(chance * _truthful(dials, truthful) for truthful, chance in _conflicts(dials, seen))


def _conflicts(dials: Dials, seen: Sequence[int]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every set of seen modalities that may tell the truth while the others conflict, and how often."""
    for truthful in chain.from_iterable(combinations(seen, size) for size in range(len(seen) + 1)):
        odds = (1 - dials.conflict[m] if m in truthful else dials.conflict[m] for m in seen)
        yield truthful, math.prod(odds)


def _truthful(dials: Dials, seen: Sequence[int]) -> float:
    """The accuracy with modalities that do not conflict."""
    hit = {m: _phi(1 / dials.noise[m]) if dials.noise[m] else 1.0 for m in seen}
    precision = math.sqrt(sum(1 / dials.noise[m] ** 2 if dials.noise[m] else math.inf for m in seen))
    together = math.prod(2 * value - 1 for value in hit.values()) if len(seen) == len(dials.unique) else 0.0
    hits = [_phi(precision), *(hit.get(m, 0.5) for m in range(len(dials.unique))), 0.5 + together / 2, 0.5]
    return math.prod(math.fsum(p * h for p, h in zip(odds, hits, strict=True)) for odds in _odds(dials))


def _odds(dials: Dials) -> list[list[float]]:
    """How often each bit goes each way, ``(bits, ways)``."""
    ends = dials._edges * dials.bits
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    first = torch.arange(dials.bits)[:, None]
    overlap = (torch.minimum(ends, first + 1) - torch.maximum(starts, first)).clamp(min=0)
    return overlap.tolist()


def _phi(value: float) -> float:
    """The normal distribution function."""
    return 0.5 + 0.5 * math.erf(value / math.sqrt(2))


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def load_synthetic(
    place: Place,
    *,
    seed: int = 0,
    modalities: int = 2,
    redundancy: float = 0.5,
    unique: float = 0.25,
    synergy: float = 0.0,
    noise: float = BACKGROUND,
    conflict: float = 0.0,
    scale: float = 1.0,
    bits: int = 4,
    features: int = 32,
    train: int = 2048,
    validation: int = 0,
    test: int = 2048,
) -> MultimodalData:
    """Return made-up modalities "a", "b", ...; noise, conflict and scale are those of the last one.

    Nothing is standardised: the values are drawn that way, and it would undo the scale.

    Args:
        place: Location, not used: there are no files.
        seed: Seed of everything that is drawn.
        modalities: Number of modalities, at least 2.
        redundancy: Redundancy as in `Dials`.
        unique: Share of the label that each modality alone shows.
        synergy: Synergy as in `Dials`.
        noise: Noise of the last modality; the others have `BACKGROUND`.
        conflict: Conflict of the last modality; the others have none.
        scale: Scale of the last modality; the others have 1.
        bits: Bits of the label.
        features: Numbers in a sample of one modality.
        train: Samples to learn from.
        validation: Samples to choose the epoch by.
        test: Samples to score.
    """
    del place
    dials = Dials(
        redundancy=redundancy,
        unique=(unique,) * modalities,
        synergy=synergy,
        noise=(*(BACKGROUND,) * (modalities - 1), noise),
        conflict=(*(0.0,) * (modalities - 1), conflict),
        scale=(*(1.0,) * (modalities - 1), scale),
        bits=bits,
    )
    inputs, target = generate(dials, train + validation + test, features=features, seed=seed)
    parts = np.split(np.arange(len(target)), [train, train + validation])
    return split_and_standardise(
        "synthetic",
        inputs,
        target,
        kinds=dict.fromkeys(inputs, "vector"),
        classes=tuple(str(number) for number in range(2**bits)),
        split=Split(*parts),
        standardise=False,
    )


def check_synthetic(place: Place) -> list[Finding]:
    """Say that there is nothing to look at."""
    del place
    return [Finding("files", "none", "none", good=True)]
