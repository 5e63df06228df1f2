"""The steps around the search, in Triton: see `launch`, which starts these programs."""

import triton
import triton.language as tl

from maskfusion.kernels.search import places


@triton.jit
def finite(
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
    rows, group, position = places(tl.program_id(0), size, tile, whole)
    axes = tl.arange(0, width)[None, :]
    real = rows < vector_count
    start = group * group_stride + position * size_stride
    vector = tl.load(
        vectors + (start[:, None] + axes * dim_stride), mask=real[:, None] & (axes < dim), other=0.0
    ).to(tl.float32)
    tl.store(found + rows, tl.sum(vector * vector, axis=1) < float("inf"), mask=real)


@triton.jit
def spread(
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
    if before is not None:
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
def summary(
    errors,
    counts,
    loss,
    share,
    perplexity,
    programs,
    codes,
    dim,
    weight,
    tile: tl.constexpr,
):
    lines = tl.arange(0, tile)
    squares, hits, weighted = (
        tl.zeros((tile,), tl.float32),
        tl.zeros((tile,), tl.float32),
        tl.zeros((tile,), tl.float32),
    )
    for first in range(0, programs, tile):
        squares += tl.load(errors + first + lines, mask=first + lines < programs, other=0.0)
    for first in range(0, codes, tile):
        count = tl.load(counts + first + lines, mask=first + lines < codes, other=0.0)
        hits += count
        weighted += count * tl.log(tl.maximum(count, 1.0))  # counts are whole numbers
    total = tl.sum(hits)
    number = tl.maximum(total, 1.0) * dim
    tl.store(share, 1 / number)
    tl.store(loss, weight * tl.sum(squares) / number)
    # with shares p = n / N, the entropy -sum(p log p) is log N - sum(n log n) / N
    safe = tl.maximum(total, 1.0)
    tl.store(perplexity, tl.exp(tl.log(safe) - tl.sum(weighted) / safe))


@triton.jit
def follow(
    codebook,
    cluster_size,
    initialized,
    counts,
    residuals,
    fresh,
    size_total,
    count_total,
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
        smoothed = tl.maximum((new + epsilon) * (total / (total + codes * epsilon)), 1.2e-38)
        residual = tl.load(residuals + at, mask=inside, other=0.0)
        code = tl.where(seen[:, None], code + step[:, None] * residual / smoothed[:, None], code)
    code = tl.where(restarts[:, None], tl.load(fresh + at, mask=inside, other=0.0), code)
    tl.store(codebook + at, code, mask=inside)
    tl.store(cluster_size + rows, tl.where(restarts, mean, new), mask=real)
    tl.store(initialized + rows * 0, tl.where(seen, 1.0, 0.0), mask=seen & (rows == 0))


@triton.jit
def gate_backward(
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
