"""What quantiser and mask do on a GPU, in Triton: each kernel reads a tensor once and writes one once.

The plain path writes a block of distances to memory and reads it back, and then needs a pass for codes, counts, residuals and error
each; the kernel keeps distances in registers and adds up the rest as it goes. `way.way_for` says when they are used.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from maskfusion.kernels import search, steps

MEASURED_AT_ONCE = 64
"""Vectors of which one program of `finite` takes the length."""

CENTRED, SAMPLED = 32, 256
"""Codes that one program of `_centred` moves, and how many vectors give the centre: any point amid them will do."""

ROUNDING = 16 * 2**-24
"""Error of a score, as in `functional.nearest`; three products of TensorFloat-32 round a little more than one of float32."""

ELEMENTS, PROGRAMS = 4096, 2048
"""Features that one program of `gate_backward` holds at once, and how many programs there are at most."""

FOLLOWED = 16
"""Codes that one program of `spread` and `follow` takes care of."""

SUMMED = 1024
"""Numbers that the one program of `summary` adds up at once."""

MANY = 1 << 14
"""Vectors from which on large tiles keep a GPU busy."""


class Tile(NamedTuple):
    """How much of the distances one program of the search holds, and how Triton is to run it."""

    vectors: int
    codes: int
    stages: int


def tile_for(vectors: int, dim: int) -> Tile:
    """Return the tile that was fastest on an H200; none takes more than the 99 KiB of shared memory that smaller GPUs have."""
    if dim <= 32 or dim > 64:
        return Tile(64, 32, 1)
    return Tile(128, 64, 1) if vectors >= MANY else Tile(32, 128, 3)


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code, the lowest of equals.

    Args:
        vectors: ``(vectors, dim)``.
        codebook: float32 ``(codes, dim)``.

    Returns:
        int64 ``(vectors,)``; 0 for a vector with NaN.
    """
    indices = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
    _launch(vectors[None], codebook, None, None, None, indices, None, None, None)
    return indices


def assign(
    vectors: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    weight: float,
    quantized: Tensor,
    indices: Tensor,
) -> tuple[Tensor, ...]:
    """Do what `in_blocks.assign_in_blocks` does, filling in codes and indices. Counts and residuals are added up in no fixed order.

    Args:
        vectors: ``(groups, size, dim)``, any strides.
        codebook: float32 ``(codes, dim)``.
        mask: bool ``(groups, size)``; None for all. What is not finite is not counted.
        weight: Weight of the mean squared difference in the loss.
        quantized: Codes to fill in, shape and dtype of ``vectors``.
        indices: Indices to fill in, int64 ``(groups, size)``, contiguous.
    """
    codes, dim = codebook.shape
    difference = torch.empty_like(quantized)
    counts, residuals = codebook.new_empty(codes), torch.empty_like(codebook)
    programs = triton.cdiv(indices.numel(), tile_for(indices.numel(), dim).vectors)
    errors = codebook.new_empty(programs)
    _launch(vectors, codebook, mask, quantized, difference, indices, counts, residuals, errors)
    share, loss, perplexity = (codebook.new_empty(()) for _ in range(3))
    with torch.cuda.device_of(codebook):
        steps.summary[(1,)](
            *(errors, counts, loss, share, perplexity, programs, codes, dim, weight), tile=SUMMED
        )
    return difference, counts, residuals, share, loss, perplexity


def gate_backward(gradient: Tensor, features: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """``gradient * gate``, and the sum of ``gradient * features`` of each channel in float32, with one read of the two.

    Args:
        gradient: ``(outer, channels, inner)``, contiguous.
        features: The same.
        gate: ``(channels,)``, of any dtype; the product is taken in that of ``gradient``.
    """
    outer, channels, inner = features.shape
    gated = torch.empty_like(gradient)
    if not features.numel():
        return gated, gate.new_zeros(channels, dtype=torch.float32)
    inner_tile = min(1024, triton.next_power_of_2(inner))
    channel_tile = min(128, triton.next_power_of_2(channels), 1024 // inner_tile)
    outer_tile = ELEMENTS // (inner_tile * channel_tile)
    across = triton.cdiv(channels, channel_tile)
    strips = min(triton.cdiv(outer, outer_tile), max(1, PROGRAMS // across))
    sums = torch.empty(strips, channels, dtype=torch.float32, device=features.device)
    strip = triton.cdiv(triton.cdiv(outer, strips), outer_tile) * outer_tile
    with torch.cuda.device_of(features):
        steps.gate_backward[(across, strips)](
            *(gradient, features, gate.contiguous(), gated, sums),
            *(outer, channels, inner, strip),
            outer_tile=outer_tile,
            channel_tile=channel_tile,
            inner_tile=inner_tile,
        )
    return gated, sums.sum(0)


def spread(rows: Tensor, places: Tensor, total: Tensor, before: Tensor | None, codes: int) -> Tensor:
    """Pick vectors as `Batch.fresh` says: float32 ``(codes, dim)``, zero where another process has the vector.

    Args:
        rows: ``(groups, size, dim)``, any strides, at least one vector.
        places: Number of vectors counted up to each, int64 ``(groups * size,)``.
        total: Counted vectors of all processes, int64, 0-d.
        before: Counted vectors of the processes of lower rank, int64, 0-d; None for none.
        codes: Number of vectors to pick.
    """
    size, dim = rows.shape[1:]
    picked = torch.empty(codes, dim, dtype=torch.float32, device=rows.device)
    with torch.cuda.device_of(rows):
        steps.spread[(triton.cdiv(codes, FOLLOWED),)](
            *(rows, places, total, before, picked, codes, len(places), len(places).bit_length(), size, dim),
            *rows.stride(),
            width=triton.next_power_of_2(dim),
            tile=FOLLOWED,
        )
    return picked


def follow(
    codebook: Tensor,
    cluster_size: Tensor,
    initialized: Tensor,
    counts: Tensor,
    residuals: Tensor | None,
    fresh: Tensor,
    rate: float,
    epsilon: float,
    restart_threshold: float,
) -> None:
    """Move codebook and running counts by a batch, in place, as `Codebook._follow` does."""
    codes, dim = codebook.shape
    with torch.cuda.device_of(codebook):
        steps.follow[(triton.cdiv(codes, FOLLOWED),)](
            *(codebook, cluster_size, initialized, counts, residuals, fresh),
            *(cluster_size.sum(), counts.sum(), codes, dim, rate, epsilon, restart_threshold),
            width=triton.next_power_of_2(dim),
            tile=FOLLOWED,
            moves=residuals is not None,
        )
    torch.autograd.graph.increment_version((codebook, cluster_size, initialized))


def finite(vectors: Tensor) -> Tensor:
    """Which vectors ``(groups, size, dim)`` have a finite length in float32, bool ``(groups, size)``."""
    groups, size, dim = vectors.shape
    found = torch.empty(groups, size, dtype=torch.bool, device=vectors.device)
    if groups * size:
        with torch.cuda.device_of(vectors):
            steps.finite[(triton.cdiv(groups * size, MEASURED_AT_ONCE),)](
                *(vectors, found, groups * size, size, dim, *vectors.stride()),
                width=triton.next_power_of_2(dim),
                tile=MEASURED_AT_ONCE,
                whole=size % MEASURED_AT_ONCE == 0,
            )
    return found


def _centred(
    vectors: Tensor, codebook: Tensor, counts: Tensor | None, residuals: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """A point amid the vectors, the codes from there, and the squares of their lengths; on the way, sets the sums to zero."""
    codes, dim = codebook.shape
    groups, size, _ = vectors.shape
    centre, moved, norms = codebook.new_empty(dim), torch.empty_like(codebook), codebook.new_empty(codes)
    with torch.cuda.device_of(codebook):
        search.centre[(triton.cdiv(codes, CENTRED),)](
            *(vectors, codebook, centre, moved, norms, counts, residuals),
            *(max(1, groups * size // SAMPLED), min(groups * size, SAMPLED), max(1, size), codes, dim),
            *vectors.stride(),
            width=triton.next_power_of_2(dim),
            tile=CENTRED,
            sums=counts is not None,
        )
    return centre, moved, norms


def _launch(
    vectors: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    quantized: Tensor | None,
    difference: Tensor | None,
    indices: Tensor,
    counts: Tensor | None,
    residuals: Tensor | None,
    errors: Tensor | None,
) -> None:
    groups, size, dim = vectors.shape
    tile, codebook = tile_for(groups * size, dim), codebook.contiguous()
    centred = _centred(vectors, codebook, counts, residuals)
    if not groups * size:
        return
    with torch.cuda.device_of(vectors):
        search.nearest[(triton.cdiv(groups * size, tile.vectors),)](
            *(vectors, codebook, *centred, None if mask is None else mask.contiguous()),
            *(quantized, difference, indices, counts, residuals, errors),
            *(groups * size, size, len(codebook), dim, ROUNDING * (2 + dim**0.5), *vectors.stride()),
            *((0, 0, 0) if quantized is None else quantized.stride()),
            width=max(16, triton.next_power_of_2(dim)),
            tile_vectors=tile.vectors,
            tile_codes=tile.codes,
            whole=size % tile.vectors == 0,
            assigns=quantized is not None,
            num_stages=tile.stages,
        )
