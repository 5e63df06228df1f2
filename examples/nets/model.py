"""The network of the paper, for any number of modalities."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from typing_extensions import Self

from examples.data.contract import Modality, MultimodalData
from examples.errors import UserError
from examples.nets.decoders import build_decoder
from examples.nets.encoders import build_encoder, latent_grid
from examples.nets.heads import ClassificationHead, PlainHead, SegmentationHead
from examples.recipes import Network
from maskfusion import ComplementaryMask, LogarithmicPool, Quantized, VectorQuantizer

JOINT, TOGETHER = "(joint)", "(together)"
"""Names in a pool, of the joint head and of a network whose encoders were trained together; the others have the names of their modalities."""


class FusionOutput(NamedTuple):
    """What one forward pass gives; the mappings are by modality.

    Attributes:
        prediction: Scores, ``(batch, classes)``, or ``(batch, classes, height, width)`` for each pixel. Those of the joint
            head; in evaluation, where the model votes or pools, log-probabilities of all heads together.
        latents: z, ``(batch, latent, height, width)`` on each modality's own grid.
        quantized: z-hat with its indices and loss; empty without quantisers.
        reconstructions: x-tilde, in the input's shape; empty without decoders.
        features: What is fused: z-hat where there are quantisers, else z.
        fused: f, what the head reads, ``(batch, modalities * latent, height, width)``.
        unimodal: Scores of each modality's own head, or in evaluation of each expert, as `prediction`; empty where there are none.
        joint: Scores of the joint head.
    """

    prediction: Tensor
    latents: dict[str, Tensor]
    quantized: dict[str, Quantized]
    reconstructions: dict[str, Tensor]
    features: dict[str, Tensor]
    fused: Tensor
    unimodal: dict[str, Tensor]
    joint: Tensor


class Concatenation(nn.Module):
    """Plain fusion: every modality's channels, one after the other.

    Latents of unequal size are first brought to one grid, as high as the highest and as wide as the widest, by
    repeating their nearest value: a vector is seen at every place of an image.

    Shape:
        - Input: a mapping of modality name to ``(batch, latent, height, width)``
        - Output: ``(batch, modalities * latent, largest height, largest width)``
    """

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Concatenate along the channels."""
        maps = list(features.values())
        grid = max(m.shape[2] for m in maps), max(m.shape[3] for m in maps)
        return torch.cat([m if m.shape[2:] == grid else interpolate(m, size=grid) for m in maps], dim=1)


class FusionModel(nn.Module):
    """Encode each modality, quantise it, decode it; fuse all of them and solve the task.

    A method puts its own parts in place, for example a mask around `fusion`.

    Args:
        modalities: Input modalities, by name.
        classes: Number of classes.
        network: Sizes.
        quantise: Whether there are quantisers and decoders.
        target_shape: Shape of one sample's target, ``samples.target.shape[1:]``: nothing for one class per sample,
            ``(height, width)`` for one per pixel.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        classes: int,
        network: Network,
        *,
        quantise: bool,
        target_shape: Sequence[int] = (),
    ) -> None:
        super().__init__()
        encoders = {
            name: build_encoder(modality, network, network.pooling.get(name, 0))
            for name, modality in modalities.items()
        }
        grids = {name: latent_grid(encoder) for name, encoder in encoders.items()}
        heights, widths = zip(*grids.values(), strict=True)
        coded = modalities if quantise else {}

        self.channels = dict.fromkeys(modalities, network.latent)
        self.classes = classes
        self.encoders = nn.ModuleDict(encoders)
        self.quantizers = nn.ModuleDict({name: _build_quantizer(network) for name in coded})
        self.decoders = nn.ModuleDict(
            {name: build_decoder(coded[name], network, encoders[name].grids) for name in coded}
        )
        self.fusion: nn.Module = Concatenation()
        self._make_head = partial(_build_head, classes=classes, target_shape=target_shape, network=network)
        self._make_expert = partial(
            _build_expert, modalities, classes=classes, network=network, target_shape=target_shape
        )
        self._grids = grids
        self.head: nn.Module = self._make_head(sum(self.channels.values()), (max(heights), max(widths)))
        self.unimodal_heads = nn.ModuleDict()
        self._votes = False
        self.experts = nn.ModuleDict()
        self.pool: LogarithmicPool | None = None
        self._at_rest: list[nn.Module] = []

    def add_unimodal_heads(self, *, vote: bool = False) -> None:
        """Give every modality a head of its own, of the same kind, on its own features and grid.

        Args:
            vote: Whether the prediction in evaluation is that of all heads, see `opinion_pool`; in training each head
                answers for itself.
        """
        heads = {name: self._make_head(count, self._grids[name]) for name, count in self.channels.items()}
        self.unimodal_heads = nn.ModuleDict(heads)
        self._votes = vote

    def add_experts(self, *, together: bool = False) -> None:
        """Put other networks beside the joint one, which do not learn any more, and pool all of them in evaluation.

        Args:
            together: Whether one of all modalities is among them, besides one of each alone.
        """
        names = [*self.channels, *([TOGETHER] if together else [])]
        self.pool = LogarithmicPool([JOINT, *names], allow_missing=False)
        self.experts = nn.ModuleDict({name: self._make_expert(name) for name in names})
        self._rest(self.experts)

    def pool_unimodal_heads(self) -> None:
        """Give every modality a head of its own, and pool these in evaluation; there is no joint head any more."""
        self.add_unimodal_heads()
        self.head = nn.Identity()
        self.pool = LogarithmicPool(self.channels, allow_missing=False)

    def rest_encoders(self) -> None:
        """Let the encoders learn no more: neither weights nor running statistics."""
        self._rest(self.encoders)

    def _rest(self, part: nn.Module) -> None:
        part.requires_grad_(requires_grad=False)
        self._at_rest.append(part)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; parts that learn no more stay in evaluation mode."""
        super().train(mode)
        for part in self._at_rest:
            part.eval()
        return self

    @property
    def mask(self) -> ComplementaryMask | None:
        """The mask, where a method has put one."""
        return self.fusion if isinstance(self.fusion, ComplementaryMask) else None

    def forward(self, inputs: Mapping[str, Tensor]) -> FusionOutput:
        """Run all modalities, ``(batch, *shape)`` each, through the network of Fig. 2."""
        latents: dict[str, Tensor] = {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        quantized: dict[str, Quantized] = {
            name: coder(latents[name]) for name, coder in self.quantizers.items()
        }
        features = {**latents, **{name: coded.quantized for name, coded in quantized.items()}}
        reconstructions: dict[str, Tensor] = {
            name: dec(features[name]) for name, dec in self.decoders.items()
        }
        fused = self.fusion(features)
        unimodal: dict[str, Tensor] = {
            name: head(features[name]) for name, head in self.unimodal_heads.items()
        }
        joint: Tensor = self.head(fused)
        prediction = joint
        if not self.training:
            unimodal |= {name: expert(inputs).joint for name, expert in self.experts.items()}
            if self._votes:
                prediction = opinion_pool([joint, *unimodal.values()])
            if self.pool is not None:
                scores = {JOINT: joint, **unimodal}
                prediction = self.pool({name: scores[name] for name in self.pool.heads})
        return FusionOutput(prediction, latents, quantized, reconstructions, features, fused, unimodal, joint)


def opinion_pool(scores: Sequence[Tensor]) -> Tensor:
    """Return the logarithmic opinion pool of several heads with equal weights, as log-probabilities.

    The pooled probability of a class is the geometric mean of what each head gives it, normalised.

    Args:
        scores: Scores of each head, ``(batch, classes, ...)``, before any softmax.

    Reference: T. Heskes, "Selecting weighting factors in logarithmic opinion pools", NIPS 1997.
    """
    opinions = torch.stack([one.log_softmax(dim=1) for one in scores])
    return opinions.mean(dim=0).log_softmax(dim=1)


def build_model(data: MultimodalData, network: Network, *, quantise: bool) -> FusionModel:
    """Return a new network for a data set, its convolutions with the channels last, which is faster on a CPU.

    Args:
        data: Decides what goes in, and what comes out.
        network: Sizes.
        quantise: Whether there are quantisers and decoders.
    """
    model = FusionModel(
        data.modalities,
        len(data.classes),
        network,
        quantise=quantise,
        target_shape=data.train.target.shape[1:],
    )
    for weights in model.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return model


def _build_expert(
    modalities: Mapping[str, Modality],
    name: str,
    *,
    classes: int,
    network: Network,
    target_shape: Sequence[int],
) -> FusionModel:
    seen = modalities if name == TOGETHER else {name: modalities[name]}
    return FusionModel(seen, classes, network, quantise=False, target_shape=target_shape)


def _build_head(
    channels: int, grid: tuple[int, int], classes: int, target_shape: Sequence[int], network: Network
) -> ClassificationHead | PlainHead | SegmentationHead:
    match tuple(target_shape):
        case _ if network.encoder == "plain" and target_shape:
            raise UserError(
                "`encoder` (='plain') pools its maps wholly; to score pixels it must be another one."
            )
        case () if network.encoder == "plain":
            return PlainHead(channels, classes, network)
        case ():
            return ClassificationHead(channels, grid, classes, network)
        case (height, width):
            return SegmentationHead(channels, grid, classes, (height, width), network)
        case other:
            raise ValueError(f"`target_shape` (={other}) must be () or (height, width).")


def _build_quantizer(network: Network) -> VectorQuantizer:
    return VectorQuantizer(
        network.latent,
        network.codes,
        decay=network.decay,
        commitment_weight=network.commitment,
        restart_threshold=network.restart,
    )
