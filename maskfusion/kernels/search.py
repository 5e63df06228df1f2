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
    vectors,
    codebook,
    centre,
    moved,
    norms,
    counts,
    residuals,
    every,
    sampled,
    size,
    codes,
    dim,
    group_stride,
    size_stride,
    dim_stride,
    width: tl.constexpr,
    tile: tl.constexpr,
    sums: tl.constexpr,
):
    axes, lines = tl.arange(0, width), tl.arange(0, tile)
    total, number = tl.zeros((width,), tl.float32), 0.0
    for first in range(0, sampled, tile):
        row = (first + lines).to(tl.int64) * every
        start = row // size * group_stride + row % size * size_stride
        inside = (first + lines < sampled)[:, None] & (axes[None, :] < dim)
        sample = tl.load(vectors + (start[:, None] + axes[None, :] * dim_stride), mask=inside, other=0.0).to(
            tl.float32
        )
        finite = (first + lines < sampled) & (tl.sum(sample * sample, axis=1) < float("inf"))
        total += tl.sum(tl.where(finite[:, None], sample, 0.0), axis=0)
        number += tl.sum(tl.where(finite, 1.0, 0.0))
    middle = total / tl.maximum(number, 1.0)
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
    mask,
    quantized,
    difference,
    indices,
    counts,
    residuals,
    errors,
    vector_count,
    size,
    code_count,
    dim,
    error,
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
    second = tl.full((tile_vectors,), float("inf"), tl.float32)
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
        others = tl.where(tl.arange(0, tile_codes)[None, :] == column[:, None], float("inf"), distances)
        second = tl.minimum(tl.minimum(second, tl.min(others, axis=1)), tl.maximum(smallest, distance))
        closer = distance < smallest
        smallest = tl.where(closer, distance, smallest)
        found = tl.where(closer, first + column, found)
    # where two codes are nearer to each other in distance than such products can tell, by differences
    slack = error * (16 * tl.sum(mine * mine, axis=1) + 6 * smallest)
    doubtful = (smallest < float("inf")) & (second <= smallest + slack)
    if tl.sum(tl.where(doubtful, 1, 0)) > 0:
        least = tl.full((tile_vectors,), float("inf"), tl.float32)
        exactly = tl.zeros((tile_vectors,), tl.int32)
        for number in range(code_count):
            code = tl.load(
                codebook + (tl.zeros((width,), tl.int64) + number) * dim + axes, mask=axes < dim, other=0.0
            )
            apart = tl.where(inside, wide - code[None, :], 0.0)
            distance = tl.sum(apart * apart, axis=1)
            closer = distance < least
            least = tl.where(closer, distance, least)
            exactly = tl.where(closer, number, exactly)
        found = tl.where(doubtful, exactly, found)
    tl.store(indices + rows, found.to(tl.int64), mask=real)
    if assigns:  # pragma: no branch
        chosen = found[:, None].to(tl.int64) * dim + axes[None, :]
        code = tl.load(codebook + chosen, mask=inside, other=0.0)
        finite = tl.sum(wide * wide, axis=1) < float("inf")
        start = group * to_group_stride + position * to_size_stride
        at = start[:, None] + axes[None, :] * to_dim_stride
        tl.store(quantized + at, tl.where(finite[:, None], code, float("nan")), mask=inside)
        in_use = real & finite
        if mask is not None:
            in_use = in_use & (tl.load(mask + rows, mask=real, other=0) != 0)
        apart = tl.where(in_use[:, None], wide - code, 0.0)
        tl.store(difference + at, apart, mask=inside)
        tl.store(errors + program, tl.sum(apart * apart))
        tl.atomic_add(counts + found, tl.full((tile_vectors,), 1.0, tl.float32), mask=in_use, sem="relaxed")
        tl.atomic_add(residuals + chosen, apart, mask=inside & in_use[:, None], sem="relaxed")
