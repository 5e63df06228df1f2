"""The search for the nearest code: by matrix products, in blocks, never a (vectors x codes) matrix."""

import math
from collections.abc import Callable
from functools import cache, partial
from itertools import product

import torch
from torch import Tensor, nn

from maskfusion._typing import Float, Int
from maskfusion.kernels.private import is_exporting, rounds_products
from maskfusion.kernels.way import Way, way_for

TILE = 2048
"""Codes that are searched at once."""

CPU_BLOCK, ACCELERATOR_BLOCK = 1 << 19, 1 << 26
"""Distances held at once: 2 MiB in float32, about what the cache of one core holds; 256 MiB, enough to keep an accelerator busy."""

FEW = 1 << 17
"""Distances that are sooner computed in float64 at once than in float32 and checked."""

FEWEST = 1 << 12
"""Distances that are sooner computed by differences at once."""

SAMPLED = 4
"""Groups of vectors, and vectors of each, whose middle is taken."""

ROUNDING = 2**-24
"""Relative error of one operation in float32."""


def nearest_code(
    vectors: Float[Tensor, "vectors dim"], codebook: Float[Tensor, "codes dim"]
) -> Int[Tensor, " vectors"]:
    r"""Find the nearest code of every vector in Euclidean distance.

    .. math:: q_i = \arg\min_k \lVert z_i - c_k \rVert

    Distances are float32, under autocast too, and computed relative to a point near their centre. On a CPU, and in the kernels on a GPU, near-ties
    that float32 products cannot resolve are checked again exactly, so that neither an offset nor far codes give
    a wrong one. Distances are computed in blocks that stay in the cache; the result does not depend on the block.

    Args:
        vectors: Vectors, shape ``(vectors, dim)``.
        codebook: Codes, shape ``(codes, dim)``.

    Returns:
        Indices into the codebook, int64, shape ``(vectors,)``. A vector that is not finite gets some valid index.

    Raises:
        ValueError: If the shapes do not fit.

    Examples:
        >>> nearest_code(torch.tensor([[0.1, 0.0], [0.9, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        tensor([0, 1])

    Reference: Sec. 3.1 (where the paper prints arg max).
    """
    if vectors.ndim != 2 or codebook.ndim != 2 or vectors.shape[1] != codebook.shape[1] or not len(codebook):
        raise ValueError(
            f"`vectors` of shape {tuple(vectors.shape)} and `codebook` of shape {tuple(codebook.shape)} must be "
            f"(vectors, dim) and (codes, dim) with one dim and at least one code."
        )
    way = way_for(vectors, vectors.shape[1])
    vectors, codebook = vectors.detach(), codebook.detach()
    if way is Way.OPERATOR:
        indices: Tensor = _nearest_code(vectors, codebook)
        return indices
    with torch.autocast(vectors.device.type, enabled=False):
        if way is Way.TRACED:
            return nearest_traced(vectors.float(), codebook.float())
        return _nearest_at_once(way, vectors, codebook)


def nearest_traced(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The same in plain operations, all vectors at once; as far as float32 can tell in a program that goes elsewhere, or on an accelerator."""
    if vectors.device.type == "cpu" and not is_exporting():
        vectors, codebook = vectors.double(), codebook.double()
    centre = middle(vectors)
    codes = codebook - centre
    return torch.addmm(codes.square().sum(1), vectors - centre, codes.t(), alpha=-2).argmin(1)


def _nearest_at_once(way: Way, vectors: Tensor, codebook: Tensor) -> Tensor:
    if way is Way.KERNELS:
        from maskfusion.kernels import launch

        return launch.nearest(vectors, codebook.float())
    indices = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
    search = search_for(codebook.float(), vectors[None])
    for _, rows in blocks(vectors[None], len(codebook)):
        indices[rows] = search(vectors[rows].float().contiguous())
    return indices


@torch.library.custom_op("maskfusion::nearest_code", mutates_args=())
def _nearest_code(vectors: Tensor, codebook: Tensor) -> Tensor:
    with torch.autocast(vectors.device.type, enabled=False):
        return _nearest_at_once(way_for(vectors, vectors.shape[1]), vectors, codebook)


@_nearest_code.register_fake
def _(vectors: Tensor, codebook: Tensor) -> Tensor:
    del codebook
    return vectors.new_empty(vectors.shape[0], dtype=torch.int64)


def search_for(codebook: Tensor, vectors: Tensor) -> Callable[[Tensor], Tensor]:
    """How to find the nearest codes in a float32 codebook ``(codes, dim)`` of parts of ``(..., dim)`` vectors.

    Takes float32 ``(part, dim)``, gives int64 ``(part,)``. Only a CPU can look how near two codes are to each other without waiting.
    """
    if codebook.device.type != "cpu":
        return _Amid(codebook, vectors).nearest
    distances = vectors.shape[:-1].numel() * codebook.shape[0]
    if distances <= FEWEST:
        return partial(_directly, codebook)
    if distances <= FEW or rounds_products():
        return _Exact(codebook).nearest
    return _Checked(codebook, vectors).nearest


def _directly(codebook: Tensor, vectors: Tensor) -> Tensor:
    """By differences; a matrix product would first need a pass over the codes."""
    distances: Tensor = torch.linalg.vector_norm(codebook - vectors[:, None], dim=-1)
    return distances.argmin(1)


class _Exact:
    """By ``|z - c|^2 = |z|^2 - 2 z.c + |c|^2`` in float64; ``|z|^2`` is the same for all codes and left out."""

    def __init__(self, codebook: Tensor) -> None:
        self.centre = codebook[0].double()  # against an offset that all codes share
        self.codes = codebook - self.centre
        self.norms = torch.linalg.vecdot(self.codes, self.codes)

    def nearest(self, vectors: Tensor) -> Tensor:
        return _smallest(vectors - self.centre, self.codes, self.norms)


class _Amid:
    """The same in float32, with vectors and codes relative to a point near the centre, so that neither is long if they are near to each other."""

    def __init__(self, codebook: Tensor, vectors: Tensor) -> None:
        vectors = grouped(vectors)
        groups, size, dim = vectors.shape
        sample = vectors[:: max(1, groups // SAMPLED), :: max(1, size // SAMPLED)]
        self.centre = middle(sample.reshape(-1, dim).float())
        self.codes = codebook - self.centre
        self.norms = self.codes.square().sum(1)

    def nearest(self, vectors: Tensor) -> Tensor:
        return _smallest(vectors - self.centre, self.codes, self.norms)


class _Checked(_Amid):
    """The same, and in float64 where two codes are nearer to each other in distance than float32 can tell.

    Its error is in proportion to the lengths of vector and code, not to their distance. All codes that may be the nearest are counted; of one
    alone, the sum of the numbers of all such codes is its number. Both sums are one product, which takes a third of the time of an arg min.
    """

    def __init__(self, codebook: Tensor, vectors: Tensor) -> None:
        super().__init__(codebook, vectors)
        self.exact = cache(partial(_Exact, codebook))
        # The error of a sum of products grows with the root of their number.
        self.error = 4 * ROUNDING * (2 + math.sqrt(codebook.shape[1]))
        # So that one product gives |c|^2 - 2 z.c, with a one behind each vector.
        self.products = torch.cat([self.codes.mul_(-2), self.norms[:, None]], 1).t()
        number = torch.arange(min(TILE, len(codebook)), dtype=torch.float32)
        self.numbers = torch.stack([torch.ones_like(number), number])

    def nearest(self, vectors: Tensor) -> Tensor:
        centred = vectors - self.centre
        lengths, extended = centred.square().sum(1), nn.functional.pad(centred, (0, 1), value=1.0)
        smallest = candidates = index = torch.empty(0)
        for start in range(0, len(self.codes), TILE):
            scores = extended @ self.products[:, start : start + TILE]
            least = scores.amin(1)
            # A code at distance d is no longer than |z| + d: the errors of two are below 10 |z|^2 + 6 d^2 times that of one product.
            slack = (16 * lengths + 6 * least).mul_(self.error)
            near = torch.le(scores, (least + slack)[:, None], out=scores)
            # Two rows times many columns: the other way round, two columns, takes six times as long on some processors.
            count, place = self.numbers[:, : near.shape[1]] @ near.t()
            place = place + start
            if start == 0:
                smallest, candidates, index = least, count, place
                continue
            index = torch.where(least < smallest, place, index)
            candidates = torch.where(least < smallest, count, candidates)
            candidates += (least - smallest).abs() <= slack
            smallest = torch.minimum(smallest, least)
        found = index.long()
        doubtful = candidates != 1
        if bool(doubtful.any()):
            (rows,) = doubtful.nonzero(as_tuple=True)
            found[rows] = self.exact().nearest(vectors[rows])
        return found


def _smallest(vectors: Tensor, codes: Tensor, norms: Tensor) -> Tensor:
    """Index of the smallest score of each vector."""
    smallest = index = torch.empty(0)
    for start in range(0, len(codes), TILE):
        tile = slice(start, start + TILE)
        least, place = torch.addmm(norms[tile], vectors, codes[tile].t(), alpha=-2).min(1)
        if start == 0:
            smallest, index = least, place
            continue
        index = torch.where(least < smallest, place + start, index)
        smallest = torch.minimum(smallest, least)
    return index


def middle(vectors: Tensor) -> Tensor:
    """Mean of those of the vectors ``(vectors, dim)`` that have a finite length; the origin if there are none."""
    fine = of_finite_length(vectors)[:, None]
    return torch.where(fine, vectors, 0).sum(0) / fine.sum().clamp(min=1)


def of_finite_length(vectors: Tensor) -> Tensor:
    """Which of the vectors ``(..., dim)`` have a finite length in float32, bool ``(...)``.

    NaN and inf have none, nor have numbers so large that their squares overflow: distances to them would be inf as well.
    """
    return vectors.float().square().sum(-1) < torch.inf


def grouped(vectors: Tensor) -> Tensor:
    """View ``(..., dim)`` vectors as ``(groups, size, dim)``."""
    return vectors.flatten(1, -2) if vectors.ndim > 2 else vectors[None]


def block_size(device: torch.device, codes: int) -> int:
    """How many vectors are in a block, whose distances to all codes are held at once."""
    held = CPU_BLOCK if device.type == "cpu" else ACCELERATOR_BLOCK
    return max(1, held // min(codes, TILE))


def blocks(vectors: Tensor, codes: int) -> list[tuple[slice, slice]]:
    """Cut ``(groups, size, ...)`` vectors into blocks."""
    groups, size = vectors.shape[:2]
    most = block_size(vectors.device, codes)
    group_step, step = max(1, most // max(1, size)), max(1, min(most, size))
    starts = product(range(0, groups, group_step), range(0, size, step))
    return [(slice(group, group + group_step), slice(start, start + step)) for group, start in starts]
