"""What quantiser and mask do on a GPU, in Triton: every tensor is read once and written once.

The plain path writes a block of distances to memory and reads it back, and then needs a pass for codes, counts, residuals and error
each; the kernel keeps distances in registers and adds up the rest as it goes. `_hardware.prefers_kernels` says when they are used.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

PULLED = 64
"""Vectors of which one program of `pull` takes the gradient, or of `finite` the length."""

CENTRED, SAMPLED = 32, 256
"""Codes that one program of `_centred` moves, and how many give the centre: any point amid the codes will do."""

ELEMENTS, PROGRAMS = 4096, 2048
"""Features that one program of `gate_backward` holds at once, and how many programs there are at most."""

FOLLOWED = 16
"""Codes that one program of `spread` and `follow` takes care of."""

MANY = 1 << 14
"""Vectors from which on large tiles keep a GPU busy."""


class Tile(NamedTuple):
    """How much of the distances one program of the search holds, and how Triton is to run it."""

    vectors: int
    codes: int
    stages: int
    warps: int = 4


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
    vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What `_assignment.assign` gives, with one error. Counts and residuals are added up in no fixed order.

    Args:
        vectors: ``(groups, size, dim)``, any strides.
        codebook: float32 ``(codes, dim)``.
        finite: bool ``(groups, size)``.
        counted: bool ``(groups, size)``; what is not finite is not counted.
    """
    quantized = torch.empty_like(vectors)
    indices = torch.empty(finite.shape, dtype=torch.int64, device=vectors.device)
    counts, residuals = codebook.new_zeros(len(codebook)), torch.zeros_like(codebook)
    programs = triton.cdiv(finite.numel(), tile_for(finite.numel(), codebook.shape[1]).vectors)
    errors = codebook.new_empty(programs)
    _launch(vectors, codebook, finite, counted, quantized, indices, counts, residuals, errors)
    return quantized, indices, counts, residuals, errors.sum()


def pull(gradient: Tensor, vectors: Tensor, quantized: Tensor, counted: Tensor, scale: Tensor) -> Tensor:
    """``gradient + 2 * scale * (vectors - quantized)`` where counted, else ``gradient``; ``(groups, size, dim)``, any strides."""
    pulled = torch.empty_like(vectors)
    groups, size, dim = vectors.shape
    if not vectors.numel():
        return pulled
    with torch.cuda.device_of(vectors):
        _pull[(triton.cdiv(groups * size, PULLED),)](
            *(gradient, vectors, quantized, pulled, counted.contiguous(), scale),
            *(groups * size, size, dim),
            *(*gradient.stride(), *vectors.stride(), *quantized.stride(), *pulled.stride()),
            width=triton.next_power_of_2(dim),
            tile=PULLED,
            whole=size % PULLED == 0,
        )
    return pulled


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
        _gate_backward[(across, strips)](
            *(gradient, features, gate.contiguous(), gated, sums),
            *(outer, channels, inner, strip),
            outer_tile=outer_tile,
            channel_tile=channel_tile,
            inner_tile=inner_tile,
        )
    return gated, sums.sum(0)


def spread(rows: Tensor, places: Tensor, total: Tensor, before: Tensor, codes: int) -> Tensor:
    """Pick vectors as `_codebook.Processes.evenly_spread` says: float32 ``(codes, dim)``, zero where another process has the vector.

    Args:
        rows: ``(groups, size, dim)``, any strides, at least one vector.
        places: How many vectors are counted up to each, int64 ``(groups * size,)``.
        total: Counted vectors of all processes, int64, 0-d.
        before: Those of the processes of lower rank, int64, 0-d.
        codes: How many to pick.
    """
    size, dim = rows.shape[1:]
    picked = torch.empty(codes, dim, dtype=torch.float32, device=rows.device)
    with torch.cuda.device_of(rows):
        _spread[(triton.cdiv(codes, FOLLOWED),)](
            *(rows, places, total, before, picked, codes, len(places), len(places).bit_length(), size, dim),
            *rows.stride(),
            width=triton.next_power_of_2(dim),
            tile=FOLLOWED,
        )
    return picked


def follow(
    codebook: Tensor,
    cluster_size: Tensor,
    counts: Tensor,
    residuals: Tensor | None,
    fresh: Tensor,
    rate: float,
    epsilon: float,
    restart_threshold: float,
) -> tuple[Tensor, Tensor]:
    """Codebook and running counts after a batch, as `VectorQuantizer._follow` says; ``residuals`` is ``None`` where only codes restart."""
    codes, dim = codebook.shape
    moved, size = torch.empty_like(codebook), torch.empty_like(cluster_size)
    with torch.cuda.device_of(codebook):
        _follow[(triton.cdiv(codes, FOLLOWED),)](
            *(
                codebook,
                cluster_size,
                counts,
                residuals,
                fresh,
                cluster_size.sum(),
                counts.sum(),
                moved,
                size,
            ),
            *(codes, dim, rate, epsilon, restart_threshold),
            width=triton.next_power_of_2(dim),
            tile=FOLLOWED,
            moves=residuals is not None,
        )
    return moved, size


def finite(vectors: Tensor) -> Tensor:
    """Which vectors ``(groups, size, dim)`` have a finite length in float32, bool ``(groups, size)``."""
    groups, size, dim = vectors.shape
    found = torch.empty(groups, size, dtype=torch.bool, device=vectors.device)
    if groups * size:
        with torch.cuda.device_of(vectors):
            _finite[(triton.cdiv(groups * size, PULLED),)](
                *(vectors, found, groups * size, size, dim, *vectors.stride()),
                width=triton.next_power_of_2(dim),
                tile=PULLED,
                whole=size % PULLED == 0,
            )
    return found


def _centred(codebook: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A point amid the codes, the codes from there, and the squares of their lengths."""
    codes, dim = codebook.shape
    centre, moved, norms = codebook.new_empty(dim), torch.empty_like(codebook), codebook.new_empty(codes)
    with torch.cuda.device_of(codebook):
        _centre[(triton.cdiv(codes, CENTRED),)](
            *(codebook, centre, moved, norms, codes, max(1, codes // SAMPLED), min(codes, SAMPLED), dim),
            width=triton.next_power_of_2(dim),
            tile=CENTRED,
        )
    return centre, moved, norms


def _launch(
    vectors: Tensor,
    codebook: Tensor,
    finite: Tensor | None,
    counted: Tensor | None,
    quantized: Tensor | None,
    indices: Tensor,
    counts: Tensor | None,
    residuals: Tensor | None,
    errors: Tensor | None,
) -> None:
    groups, size, dim = vectors.shape
    if not groups * size:
        return
    tile, codebook = tile_for(groups * size, dim), codebook.contiguous()
    with torch.cuda.device_of(vectors):
        _nearest[(triton.cdiv(groups * size, tile.vectors),)](
            *(vectors, codebook, *_centred(codebook)),
            *(
                None if finite is None else finite.contiguous(),
                None if counted is None else counted.contiguous(),
            ),
            *(quantized, indices, counts, residuals, errors),
            *(groups * size, size, len(codebook), dim, *vectors.stride()),
            *((0, 0, 0) if quantized is None else quantized.stride()),
            width=max(16, triton.next_power_of_2(dim)),
            tile_vectors=tile.vectors,
            tile_codes=tile.codes,
            whole=size % tile.vectors == 0,
            assigns=quantized is not None,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )


@triton.jit
def _places(program, size, tile: tl.constexpr, whole: tl.constexpr):
    """Rows of a tile, and their groups and positions; of a tile within one group, Triton then knows what lies side by side."""
    first = program.to(tl.int64) * tile
    rows = first + tl.arange(0, tile)
    group = first // size + tl.zeros((tile,), tl.int64) if whole else rows // size
    return rows, group, rows - group * size


@triton.jit
def _finite(
    vectors,
    found,
    vector_count,
    size,
    dim,
    group_stride,
    size_stride,
    dim_stride,
    width: tl.constexpr,
    tile: tl.constexpr,
    whole: tl.constexpr,
):
    rows, group, position = _places(tl.program_id(0), size, tile, whole)
    axes = tl.arange(0, width)[None, :]
    real = rows < vector_count
    start = group * group_stride + position * size_stride
    vector = tl.load(
        vectors + (start[:, None] + axes * dim_stride), mask=real[:, None] & (axes < dim), other=0.0
    ).to(tl.float32)
    tl.store(found + rows, tl.sum(vector * vector, axis=1) < float("inf"), mask=real)


@triton.jit
def _centre(
    codebook,
    centre,
    moved,
    norms,
    codes,
    every,
    sampled,
    dim,
    width: tl.constexpr,
    tile: tl.constexpr,
):
    axes, lines = tl.arange(0, width), tl.arange(0, tile)
    total = tl.zeros((width,), tl.float32)
    for first in range(0, sampled, tile):
        sample = (first + lines)[:, None].to(tl.int64) * every
        inside = (first + lines < sampled)[:, None] & (axes[None, :] < dim)
        total += tl.sum(tl.load(codebook + sample * dim + axes[None, :], mask=inside, other=0.0), axis=0)
    middle = total / sampled
    tl.store(centre + axes, middle, mask=axes < dim)  # every program stores the same
    rows = tl.program_id(0) * tile + lines
    at = rows[:, None].to(tl.int64) * dim + axes[None, :]
    inside = (rows < codes)[:, None] & (axes[None, :] < dim)
    code = tl.where(inside, tl.load(codebook + at, mask=inside, other=0.0) - middle[None, :], 0.0)
    tl.store(moved + at, code, mask=inside)
    tl.store(norms + rows, tl.sum(code * code, axis=1), mask=rows < codes)


@triton.jit
def _nearest(
    vectors,
    codebook,
    centre,
    codes,
    norms,
    finite,
    counted,
    quantized,
    indices,
    counts,
    residuals,
    errors,
    vector_count,
    size,
    code_count,
    dim,
    group_stride,
    size_stride,
    dim_stride,
    to_group_stride,
    to_size_stride,
    to_dim_stride,
    width: tl.constexpr,
    tile_vectors: tl.constexpr,
    tile_codes: tl.constexpr,
    whole: tl.constexpr,
    assigns: tl.constexpr,
):
    program = tl.program_id(0)
    rows, group, position = _places(program, size, tile_vectors, whole)
    axes = tl.arange(0, width)
    real = rows < vector_count
    inside = real[:, None] & (axes[None, :] < dim)
    start = group * group_stride + position * size_stride
    wide = tl.load(vectors + (start[:, None] + axes[None, :] * dim_stride), mask=inside, other=0.0).to(
        tl.float32
    )
    mine = wide - tl.load(centre + axes, mask=axes < dim, other=0.0)[None, :]
    smallest = tl.full((tile_vectors,), float("inf"), tl.float32)
    found = tl.zeros((tile_vectors,), tl.int32)
    for first in range(0, code_count, tile_codes):
        columns = first + tl.arange(0, tile_codes)
        theirs = tl.load(
            codes + columns[None, :].to(tl.int64) * dim + axes[:, None],
            mask=(columns[None, :] < code_count) & (axes[:, None] < dim),
            other=0.0,
        )
        norm = tl.load(norms + columns, mask=columns < code_count, other=float("inf"))
        # "tf32x3": three products of TensorFloat-32, which together are as exact as float32; one alone would pick wrong codes
        distances = norm[None, :] - 2 * tl.dot(mine, theirs, input_precision="tf32x3")
        distances = tl.where(distances == distances, distances, float("inf"))  # noqa: PLR0124 - NaN
        distance, column = tl.min(distances, axis=1, return_indices=True)
        closer = distance < smallest
        smallest = tl.where(closer, distance, smallest)
        found = tl.where(closer, first + column, found)
    tl.store(indices + rows, found.to(tl.int64), mask=real)
    if assigns:  # pragma: no branch
        chosen = found[:, None].to(tl.int64) * dim + axes[None, :]
        code = tl.load(codebook + chosen, mask=inside, other=0.0)
        is_finite = tl.load(finite + rows, mask=real, other=0) != 0
        start = group * to_group_stride + position * to_size_stride
        tl.store(
            quantized + (start[:, None] + axes[None, :] * to_dim_stride),
            tl.where(is_finite[:, None], code, float("nan")),
            mask=inside,
        )
        in_use = tl.load(counted + rows, mask=real, other=0) != 0
        difference = tl.where(in_use[:, None], wide - code, 0.0)
        tl.store(errors + program, tl.sum(difference * difference))
        tl.atomic_add(counts + found, tl.full((tile_vectors,), 1.0, tl.float32), mask=in_use, sem="relaxed")
        tl.atomic_add(residuals + chosen, difference, mask=inside & in_use[:, None], sem="relaxed")


@triton.jit
def _pull(
    gradient,
    vectors,
    quantized,
    pulled,
    counted,
    scale,
    vector_count,
    size,
    dim,
    gradient_group,
    gradient_size,
    gradient_dim,
    vectors_group,
    vectors_size,
    vectors_dim,
    quantized_group,
    quantized_size,
    quantized_dim,
    pulled_group,
    pulled_size,
    pulled_dim,
    width: tl.constexpr,
    tile: tl.constexpr,
    whole: tl.constexpr,
):
    rows, group, position = _places(tl.program_id(0), size, tile, whole)
    axes = tl.arange(0, width)[None, :]
    real = rows < vector_count
    inside = real[:, None] & (axes < dim)
    group, position = group[:, None], position[:, None]
    z = tl.load(vectors + group * vectors_group + position * vectors_size + axes * vectors_dim, mask=inside)
    code = tl.load(
        quantized + group * quantized_group + position * quantized_size + axes * quantized_dim, mask=inside
    )
    in_use = tl.load(counted + rows, mask=real, other=0) != 0
    difference = tl.where(in_use[:, None], z.to(tl.float32) - code.to(tl.float32), 0.0)
    upstream = tl.load(
        gradient + group * gradient_group + position * gradient_size + axes * gradient_dim, mask=inside
    )
    total = upstream.to(tl.float32) + 2 * tl.load(scale) * difference
    tl.store(pulled + group * pulled_group + position * pulled_size + axes * pulled_dim, total, mask=inside)


@triton.jit
def _gate_backward(
    gradient,
    features,
    gate,
    gated,
    sums,
    outer,
    channels,
    inner,
    strip,
    outer_tile: tl.constexpr,
    channel_tile: tl.constexpr,
    inner_tile: tl.constexpr,
):
    channel = tl.program_id(0) * channel_tile + tl.arange(0, channel_tile)
    factor = (
        tl.load(gate + channel, mask=channel < channels, other=0.0)
        .to(gradient.dtype.element_ty)
        .to(tl.float32)
    )
    total = tl.zeros((channel_tile,), tl.float32)
    begin = tl.program_id(1) * strip
    for first in range(begin, tl.minimum(begin + strip, outer), outer_tile):
        sample = (first + tl.arange(0, outer_tile)).to(tl.int64)
        for start in range(0, inner, inner_tile):
            place = start + tl.arange(0, inner_tile)
            inside = (
                (sample[:, None, None] < outer)
                & (channel[None, :, None] < channels)
                & (place[None, None, :] < inner)
            )
            at = (sample[:, None, None] * channels + channel[None, :, None]) * inner + place[None, None, :]
            upstream = tl.load(gradient + at, mask=inside, other=0.0)
            tl.store(gated + at, upstream.to(tl.float32) * factor[None, :, None], mask=inside)
            product = upstream.to(tl.float32) * tl.load(features + at, mask=inside, other=0.0).to(tl.float32)
            total += tl.sum(tl.sum(product, axis=2), axis=0)
    tl.store(sums + tl.program_id(1) * channels + channel, total, mask=channel < channels)


@triton.jit
def _spread(
    rows,
    places,
    total,
    before,
    picked,
    codes,
    vector_count,
    halvings,
    size,
    dim,
    group_stride,
    size_stride,
    dim_stride,
    width: tl.constexpr,
    tile: tl.constexpr,
):
    order = (tl.program_id(0) * tile + tl.arange(0, tile)).to(tl.int64)
    real, same = order < codes, order * 0
    wanted = ((order << 16) + order * 40503 % 65536) * tl.load(total + same) // (same + codes << 16)
    wanted -= tl.load(before + same)
    low, high = same, same + vector_count
    for _ in range(halvings):
        middle = (low + high) // 2
        is_right = tl.load(places + tl.minimum(middle, vector_count - 1)) <= wanted
        low, high = tl.where(is_right & (low < high), middle + 1, low), tl.where(is_right, high, middle)
    row = tl.minimum(low, vector_count - 1)
    mine = real & (wanted >= 0) & (wanted < tl.load(places + same + (vector_count - 1)))
    axes = tl.arange(0, width)[None, :]
    start = row // size * group_stride + row % size * size_stride
    vector = tl.load(
        rows + (start[:, None] + axes * dim_stride), mask=mine[:, None] & (axes < dim), other=0.0
    )
    tl.store(picked + (order[:, None] * dim + axes), vector.to(tl.float32), mask=real[:, None] & (axes < dim))


@triton.jit
def _follow(
    codebook,
    cluster_size,
    counts,
    residuals,
    fresh,
    size_total,
    count_total,
    moved,
    size,
    codes,
    dim,
    rate,
    epsilon,
    restart_threshold,
    width: tl.constexpr,
    tile: tl.constexpr,
    moves: tl.constexpr,
):
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    axes = tl.arange(0, width)
    real = rows < codes
    at = rows[:, None].to(tl.int64) * dim + axes[None, :]
    inside = real[:, None] & (axes[None, :] < dim)
    added = tl.load(count_total + rows * 0)
    seen = added > 0
    step = tl.where(seen, rate, 0.0)
    old = tl.load(cluster_size + rows, mask=real, other=0.0)
    new = old + step * (tl.load(counts + rows, mask=real, other=0.0) - old)
    total = tl.load(size_total + rows * 0)
    total += step * (added - total)
    mean = total / codes
    restarts = (new < restart_threshold * mean) & seen
    code = tl.load(codebook + at, mask=inside, other=0.0)
    if moves:
        smoothed = (new + epsilon) * (total / (total + codes * epsilon))
        residual = tl.load(residuals + at, mask=inside, other=0.0)
        code = tl.where(seen[:, None], code + step[:, None] * residual / smoothed[:, None], code)
    code = tl.where(restarts[:, None], tl.load(fresh + at, mask=inside, other=0.0), code)
    tl.store(moved + at, code, mask=inside)
    tl.store(size + rows, tl.where(restarts, mean, new), mask=real)
