"""The nearest code in one Triton kernel, which keeps the distances in registers.

The blocked search writes its distances to memory and reads them back; this one never does. It is tested in Triton's interpreter, and
not measured on a device yet: `_search.prefers_fused` says when it is used.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

VECTORS, CODES = 64, 64
"""Vectors and codes of one tile of distances."""


def nearest(vectors: Tensor, codes: Tensor, norms: Tensor) -> Tensor:
    """Index of the code with the smallest ``norms - 2 * vectors @ codes.t()``; the lowest of equals.

    Args:
        vectors: float32 ``(vectors, dim)``, contiguous.
        codes: float32 ``(codes, dim)``, contiguous.
        norms: float32 ``(codes,)``.

    Returns:
        int64 ``(vectors,)``; 0 for a vector with NaN.
    """
    count, dim = vectors.shape
    indices = torch.empty(count, dtype=torch.int64, device=vectors.device)
    if count:
        _kernel[(triton.cdiv(count, VECTORS),)](
            vectors,
            codes,
            norms,
            indices,
            count,
            len(codes),
            dim,
            max(16, triton.next_power_of_2(dim)),
            VECTORS,
            CODES,
        )
    return indices


@triton.jit
def _kernel(
    vectors,
    codes,
    norms,
    indices,
    vector_count,
    code_count,
    dim,
    width: tl.constexpr,
    tile_vectors: tl.constexpr,
    tile_codes: tl.constexpr,
):
    rows = tl.program_id(0) * tile_vectors + tl.arange(0, tile_vectors)
    axes = tl.arange(0, width)
    mine = tl.load(
        vectors + rows[:, None].to(tl.int64) * dim + axes[None, :],
        mask=(rows[:, None] < vector_count) & (axes[None, :] < dim),
        other=0.0,
    )
    smallest = tl.full((tile_vectors,), float("inf"), tl.float32)
    nearest = tl.zeros((tile_vectors,), tl.int32)
    for start in range(0, code_count, tile_codes):
        columns = start + tl.arange(0, tile_codes)
        theirs = tl.load(
            codes + columns[None, :].to(tl.int64) * dim + axes[:, None],
            mask=(columns[None, :] < code_count) & (axes[:, None] < dim),
            other=0.0,
        )
        norm = tl.load(norms + columns, mask=columns < code_count, other=float("inf"))
        # "ieee": TF32 would pick wrong codes
        distances = norm[None, :] - 2 * tl.dot(mine, theirs, input_precision="ieee")
        distances = tl.where(distances == distances, distances, float("inf"))  # noqa: PLR0124 - NaN
        distance, column = tl.min(distances, axis=1, return_indices=True)
        closer = distance < smallest
        smallest = tl.where(closer, distance, smallest)
        nearest = tl.where(closer, start + column, nearest)
    tl.store(indices + rows, nearest.to(tl.int64), mask=rows < vector_count)
