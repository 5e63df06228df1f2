"""Omega learned from samples that the weights do not learn from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from maskfusion._processes import Processes
from maskfusion._typing import Float
from maskfusion.mask.find import expect_masks
from maskfusion.training.omega import different, omega_parameters
from maskfusion.training.penalty import innermost


class HeldOutMasks:
    r"""Let Omega follow the task's loss on samples that the weights have not seen, and the weights everything else.

    .. math:: \theta \gets \theta - \eta \, \nabla_\theta \mathcal{L}_{\mathrm{training}}, \qquad
        \Omega \gets \Omega - \eta_\Omega \nabla_\Omega \mathcal{L}_{\mathrm{held\ out}}

    Memorised noise lowers the loss on the training samples, so an Omega that follows that loss keeps noise open. On other samples noise
    raises the loss, and no penalty is needed to close its channels.

    From here on Omega gets no gradient from the training loss, so other optimisers that hold it do not change it. ``step`` puts the network into
    evaluation, takes the gradient of Omega alone and updates it with an optimiser of its own: weights, their gradients (also accumulated ones)
    and buffers stay as they are. Hold out samples of the training part; keep the validation part for model selection.

    With ``DistributedDataParallel`` make it before the network is wrapped, pass it the unwrapped network, and call that in ``step``: the gradient of
    Omega is averaged over the processes. Sharded networks (FSDP) are refused.

    Args:
        model: Network with one ``ComplementaryMask`` or more.
        optimizer: Optimiser of every Omega in ``model`` and of nothing else, without weight decay.
        process_group: Processes that train together, where there are several; None for all.

    Raises:
        TypeError: If an argument has the wrong type, or the network is wrapped.
        ValueError: If there is no mask, the optimiser lacks an Omega, has anything else or has weight decay, or the network is sharded.

    Examples:
        >>> from maskfusion import ComplementaryMask, parameter_groups
        >>> model = nn.Sequential(ComplementaryMask(4), nn.Linear(4, 2))
        >>> weights, omega = parameter_groups(model, lr=0.1, mask_lr=0.01)
        >>> optimizer = torch.optim.SGD([weights])
        >>> held_out = HeldOutMasks(model, torch.optim.Adam([omega]))
        >>> criterion, target = nn.CrossEntropyLoss(), torch.tensor([0, 1])
        >>> criterion(model(torch.ones(2, 4)), target).backward()
        >>> optimizer.step()
        >>> loss = held_out.step(lambda: criterion(model(torch.zeros(2, 4)), target))
        >>> loss.requires_grad
        False

    Reference: the first order of DARTS, Liu et al., ICLR 2019.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, *, process_group: dist.ProcessGroup | None = None
    ) -> None:
        if isinstance(model, DistributedDataParallel):
            raise TypeError(
                "`model` (DistributedDataParallel) must be the network itself, and not be wrapped yet: make this first, then wrap."
            )
        masks = expect_masks("model", model)
        self.model = model
        self.optimizer = innermost(optimizer)
        self._processes = Processes(process_group)
        self._omegas = [each for mask in different(list(masks.values())) for each in omega_parameters(mask)]
        _expect_only(self.optimizer, model, self._omegas)
        for omega in self._omegas:
            omega.requires_grad_(False)

    def step(
        self, closure: Callable[[], Float[Tensor, ""]], *, scaler: GradScaler | None = None
    ) -> Float[Tensor, ""]:
        """Update Omega once, by the loss on held-out samples.

        Args:
            closure: Function that runs the network on held-out samples, another batch each time, and returns the task's loss.
            scaler: Scaler of the loss in float16, which also steps the other optimiser: call this between that ``scaler.step`` and
                ``scaler.update()``.

        Returns:
            The loss, without gradient.

        Raises:
            TypeError: If ``closure`` returns no tensor of one number.
            ValueError: If the loss does not depend on any Omega.
            RuntimeError: If something has let Omega follow the training loss again.
        """
        if any(omega.requires_grad for omega in self._omegas):
            raise RuntimeError(
                "Omega has `requires_grad` again, so the training loss has moved it too: set it for other parameters only, or call `release()` if "
                "Omega is to follow the training loss from here on."
            )
        with self._alone():
            loss = _expect_loss(closure())
            scaled = loss if scaler is None else scaler.scale(loss)
            found: tuple[Tensor | None, ...] = torch.autograd.grad(scaled, self._omegas, allow_unused=True)
            if all(gradient is None for gradient in found):
                raise ValueError(
                    "`closure` returned a loss that does not depend on any Omega, so none can move: run the masked network in it. Compiled by "
                    "PyTorch 2.6, a network holds Omega as a constant: run it as it is, not compiled."
                )
            gradients = [
                torch.zeros_like(omega) if gradient is None else gradient
                for omega, gradient in zip(self._omegas, found, strict=True)
            ]
            for omega, gradient in zip(self._omegas, self._processes.averaged(*gradients), strict=True):
                omega.grad = gradient
            if scaler is None:
                self.optimizer.step()
            else:
                scaler.step(self.optimizer)
            self.optimizer.zero_grad()
        return loss.detach()

    def release(self) -> None:
        """Let Omega follow the training loss again, with the optimiser that holds it."""
        for omega in self._omegas:
            omega.requires_grad_()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nothing but Omega learns: the network is in evaluation, and no other parameter of it gets a gradient."""
        training = [module for module in self.model.modules() if module.training]
        learning = [each for each in self.model.parameters() if each.requires_grad]
        try:
            self.model.eval()
            for each in learning:
                each.requires_grad_(False)
            for omega in self._omegas:
                omega.requires_grad_()
            with torch.enable_grad():
                yield
        finally:
            for omega in self._omegas:
                omega.requires_grad_(False)
            for each in learning:
                each.requires_grad_()
            for module in training:
                module.training = True


def _expect_loss(loss: object) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise TypeError(f"`closure` returned {loss!r}; it must return the loss, a tensor of one number.")
    if not loss.requires_grad:
        raise ValueError(
            "`closure` returned a loss that does not depend on Omega: run the masked network in it, without torch.no_grad."
        )
    return loss


def _expect_only(optimizer: Optimizer, model: nn.Module, omegas: list[nn.Parameter]) -> None:
    """See that an optimiser has these parameters and no others, and lets none decay."""
    rule = "`optimizer` must have every Omega of `model` and nothing else, as in torch.optim.Adam(parameter_groups(model, lr=...)[-1:])"
    if any(hasattr(omega, "full_tensor") for omega in omegas):
        raise ValueError(
            "`model` is sharded (FSDP), where Omega is in pieces: a held-out step needs it whole on every process."
        )
    names = {id(each): name for name, each in model.named_parameters()}
    has = {id(each) for group in optimizer.param_groups for each in group["params"]}
    wanted = {id(omega) for omega in omegas}
    if lacks := [names[each] for each in names if each in wanted - has]:
        raise ValueError(f"{rule}; it lacks {lacks}.")
    if more := has - wanted:
        known = [name for each, name in names.items() if each in more]
        raise ValueError(
            f"{rule}; it also has {known[:4] or 'parameters of something else'}, {len(more)} in all."
        )
    if decays := [group["weight_decay"] for group in optimizer.param_groups if group.get("weight_decay")]:
        raise ValueError(
            f"`optimizer` has weight decay on Omega, {decays[0]}, which closes useful channels too: pass weight_decay=0.0."
        )
