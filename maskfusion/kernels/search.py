"""The search of the quantiser in Triton, and what follows from it: see `launch`, which starts these programs."""

import triton
import triton.language as tl


@triton.jit
def places(program, size, tile: tl.constexpr, whole: tl.constexpr):
    """Rows of a tile, and their groups and positions; of a tile within one group, Triton then knows what lies side by side."""
    first = program.to(tl.int64) * tile
    rows = first + tl.arange(0, tile)
    group = first // size + tl.zeros((tile,), tl.int64) if whole else rows // size
    return rows, group, rows - group * size


@triton.jit
def centre(
    codebook,
    centre,
    moved,
    norms,
    counts,
    residuals,
    codes,
    every,
    sampled,
    dim,
    width: tl.constexpr,
    tile: tl.constexpr,
    sums: tl.constexpr,
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
    if sums:  # the search adds to them
        tl.store(counts + rows, tl.zeros((tile,), tl.float32), mask=rows < codes)
        tl.store(residuals + at, tl.zeros((tile, width), tl.float32), mask=inside)
    tl.store(moved + at, code, mask=inside)
    tl.store(norms + rows, tl.sum(code * code, axis=1), mask=rows < codes)


@triton.jit
def nearest(
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
    rows, group, position = places(program, size, tile_vectors, whole)
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
