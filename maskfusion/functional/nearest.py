"""The search for the nearest code: in float32, centred, in blocks, never a (vectors x codes) matrix."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from maskfusion._typing import Float, Int
from maskfusion.kernels.door import is_plain, prefers_kernels

TILE = 2048
"""Codes that are searched at once: a power of two, so that tiles fall into whole columns."""

CPU_BLOCK = 1 << 19
"""Distances held at once on a CPU: 2 MiB in float32, about what the cache of one core holds."""

SHORT = 1e30
"""A sum of squares so far below the largest float32 that no rounding, not even that of bfloat16, hides an infinite one."""

ACCELERATOR_BLOCK = 1 << 26
"""Distances held at once on an accelerator: 256 MiB in float32, enough to keep it busy."""


def nearest_code(
    vectors: Float[Tensor, "vectors dim"], codebook: Float[Tensor, "codes dim"]
) -> Int[Tensor, " vectors"]:
    r"""Find the nearest code of every vector in Euclidean distance.

    .. math:: q_i = \arg\min_k \lVert z_i - c_k \rVert

    Distances are in float32, under autocast too, and relative to the mean of the codebook, so that an offset that data and codes
    share leads to no wrong code. They are computed in blocks that stay in the cache; the result does not depend on the blocks.

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
    indices: Tensor = _nearest_code(vectors, codebook)
    return indices


class Distances:
    """Squared distances to every code, without the part that is the same for all codes.

    ``|z - c|^2 = |z|^2 - 2 z.c + |c|^2`` with ``z`` and ``c`` taken from the mean of the codebook; ``|z|^2`` is left out. Codes are
    taken in tiles of rows and columns, the last one filled up with codes at infinity: the smallest of each column is found with
    vector instructions, and only then the place of the smallest of all, which costs a third of an arg min over all codes.
    """

    def __init__(self, codebook: Tensor) -> None:
        """Prepare a float32 codebook of shape ``(codes, dim)``."""
        self.count = len(codebook)
        tile = min(self.count, TILE)
        self.columns = 1 << math.ceil(math.log2(tile) / 2)
        self.missing = -self.count % self.columns
        self.centre = codebook.mean(0)
        self.codes = codebook - self.centre
        norms = nn.functional.pad(self.codes.square().sum(1), (0, self.missing), value=torch.inf)
        table = nn.functional.pad(self.codes, (0, 0, 0, self.missing)).t()
        width = -(-tile // self.columns) * self.columns
        self.tiles = list(zip(torch.split(norms, width), torch.split(table, width, dim=1), strict=True))

    def nearest(self, centred: Tensor) -> Tensor:
        """Index of the nearest code, int64 ``(vectors,)``, of vectors ``(vectors, dim)`` from which ``centre`` was taken."""
        smallest, index = self._in_tile(centred, 0)
        for number in range(1, len(self.tiles)):
            distance, candidate = self._in_tile(centred, number)
            closer = distance < smallest
            smallest = torch.where(closer, distance, smallest)
            index = torch.where(closer, candidate + number * TILE, index)
        # A vector with NaN may have found the filling.
        return index.clamp(max=self.count - 1) if self.missing else index

    def _in_tile(self, centred: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Smallest distance, and its place, among the codes of one tile."""
        norms, table = self.tiles[number]
        scores = torch.addmm(norms, centred, table, alpha=-2)
        rows = len(norms) // self.columns
        smallest, column = scores.view(-1, rows, self.columns).amin(1).min(1)
        starts = torch.arange(0, scores.numel(), self.columns, device=scores.device).view(-1, rows)
        places = starts + column[:, None]  # `index_select` takes half the time of `gather`
        in_column = scores.view(-1).index_select(0, places.view(-1)).view(-1, rows)
        return smallest, column.add(in_column.argmin(1), alpha=self.columns)


def of_finite_length(vectors: Tensor) -> Tensor:
    """Which of the vectors ``(groups, size, dim)`` have a finite length in float32, as bool ``(groups, size)``.

    NaN and inf have none, nor have numbers so large that their squares overflow: distances to them would be inf as well.
    """
    if torch.compiler.is_compiling():
        return vectors.float().square().sum(-1).isfinite()
    if prefers_kernels(vectors, vectors.shape[-1]):
        from maskfusion.kernels import launch

        return launch.finite(vectors)
    if _are_short(vectors):
        return torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
    finite = torch.empty(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
    groups, size, dim = vectors.shape
    for block in blocks(groups, size, dim, vectors.device):  # so that the squares stay in the cache
        finite[block] = vectors[block].float().square().sum(-1).isfinite()
    return finite


def _are_short(vectors: Tensor) -> bool:
    """Whether one sum of all squares, in half the time or less, shows that every vector is finite; asked of a CPU only, which never waits."""
    if vectors.device.type != "cpu" or not is_plain(vectors):
        return False
    along = next((each for each in (vectors, vectors.mT) if each.is_contiguous()), None)
    if along is None:
        return False
    flat = along.view(-1)
    return bool(torch.dot(flat, flat) < SHORT)


def holds_everywhere(flags: Tensor) -> bool:
    """Whether all flags are known to be set; asked of a CPU only, which never waits."""
    return flags.device.type == "cpu" and bool(flags.all())


def blocks(groups: int, size: int, codes: int, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut ``(groups, size)`` vectors into pieces whose distances to all codes fit into a block."""
    held = CPU_BLOCK if device.type == "cpu" else ACCELERATOR_BLOCK
    vectors = max(1, held // min(codes, TILE))
    group_step, step = max(1, vectors // max(1, size)), min(vectors, max(1, size))
    for group in range(0, groups, group_step):
        for start in range(0, size, step):
            yield slice(group, group + group_step), slice(start, start + step)


@torch.library.custom_op("maskfusion::nearest_code", mutates_args=())
def _nearest_code(vectors: Tensor, codebook: Tensor) -> Tensor:
    if prefers_kernels(vectors, vectors.shape[-1]):
        from maskfusion.kernels import launch

        nearest: Tensor = launch.nearest(vectors, codebook.float())
        return nearest
    indices = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
    with torch.autocast(vectors.device.type, enabled=False):
        distances = Distances(codebook.float())
        for _, rows in blocks(1, len(vectors), len(codebook), vectors.device):
            indices[rows] = distances.nearest(vectors[rows].float() - distances.centre)
    return indices


@_nearest_code.register_fake
def _(vectors: Tensor, codebook: Tensor) -> Tensor:
    del codebook
    return vectors.new_empty(vectors.shape[0], dtype=torch.int64)
