"""Triton kernels for quantiser and mask on a GPU, behind one door: `door` says when they run."""
