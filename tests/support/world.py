"""One of two processes: what it can ask of the other, and the references that it runs alone."""

import torch
from torch import Tensor
from torch import distributed as dist

import maskfusion as mf
from maskfusion.quantizer.codebook import Processes

STATE = ("codebook", "cluster_size", "initialized")
close = torch.testing.assert_close


class World:
    """The rank, and a group of this process alone, on which the references run."""

    def __init__(self, rank: int, early: mf.VectorQuantizer) -> None:
        alone = [dist.new_group([0]), dist.new_group([1])]
        self.rank, self.alone, self.early = rank, alone[rank], early

    def everywhere(self, value: Tensor) -> list[Tensor]:
        """The value of each rank."""
        values = [torch.empty_like(value) for _ in range(2)]
        dist.all_gather(values, value.contiguous())
        return values

    def expect_one_codebook(
        self, module: mf.VectorQuantizer, reference: mf.VectorQuantizer | None = None
    ) -> None:
        """The same bits on every rank, and what one process finds on the whole batch."""
        for name in STATE:
            value = getattr(module, name).detach()
            first, second = self.everywhere(value)
            assert torch.equal(first, second), f"{name} differs between ranks"
            if reference is not None:
                close(
                    value,
                    getattr(reference, name).detach(),
                    rtol=1e-4,
                    atol=1e-4,
                    msg=f"{name} is not that of one process",
                )

    def follow(self, module: mf.VectorQuantizer, batches: list[tuple[Tensor, ...]], reference=None) -> None:
        """Give each rank its part and the reference the whole."""
        reference = reference or mf.VectorQuantizer(module.dim, module.codebook_size, decay=module.decay)
        reference.processes = Processes(self.alone)
        for parts in batches:
            module(parts[self.rank])
            reference(torch.cat(parts))
            self.expect_one_codebook(module, reference)
