"""The one name for both: networks, and the layers behind a mask."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from torch import nn

from maskfusion.compact.layers import compact_layers
from maskfusion.mask.attached import Entry
from maskfusion.mask.example import Call
from maskfusion.mask.mask import ComplementaryMask

if TYPE_CHECKING:
    from maskfusion.compact.small import SmallNetwork


@overload
def compact(model: ComplementaryMask, example: nn.Module, /) -> nn.Sequential: ...
@overload
def compact(
    model: nn.Module,
    example: Any,
    *,
    entry: Entry = None,
    call: Call | None = None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
) -> "SmallNetwork": ...
def compact(
    model: nn.Module,
    example: Any,
    *,
    entry: Entry = None,
    call: Call | None = None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
) -> nn.Module:
    r"""Make a network smaller: remove channels that its masks close from the layers that compute them, and from those that read them.

    The last layers of the encoders lose outputs, and so do layers before them as far as that is exact; the layers that read the fused features lose
    inputs. Where batch norm or an activation turns zero into a constant, this goes into their bias, or into one more channel of ones where a
    convolution pads with zeros. A modality that is closed completely loses its encoder and quantiser, and its input is not needed. Outputs equal
    those of evaluation mode up to rounding; this is checked on ``example`` before the small network is returned. What cannot be cut stays as it is,
    and the report names it.

    The network is traced by ``torch.export``, so it does not matter which modules it is made of, or how ``forward`` joins them.

    Given a mask and, in place of ``example``, the layers behind it, ``compact(mask, consumer)`` makes only these layers smaller: they take
    the *unmasked* features, which ``mask.fusion`` returns. Those before the first ``nn.Linear`` or ``nn.Conv1d/2d/3d`` must act on each
    channel by itself: batch norm, activations, dropout, pooling, ``nn.Flatten``, ``nn.Identity``. The result is an ``nn.Sequential``.

    Args:
        model: Network with one or more masks, of ``ComplementaryMask`` or ``attach``. Or one mask on the output of its fusion, with
            ``channel_dim`` 1 or -1.
        example: Arguments of the network, as for ``attach``, with two samples or more. Only the batch size may vary afterwards, where the network
            allows it; all other sizes are fixed. Or, for a mask, the layers behind it.
        entry: Entry of the output that is wanted, as for ``ComplementaryMask``; all of it if None. What only the rest
            needs, say decoders, is left out.
        call: ``(model, inputs by name) -> output`` where a plain call will not do.
        modalities: Inputs of each modality, for the report: ``{"text": ["input_ids", "attention_mask"]}``.

    Returns:
        A network that is called as before, by name or position; inputs in its ``unread`` may be left out or be None. It can be saved, copied,
        moved, compiled, exported, and trained further as in evaluation mode. ``print(small.report)`` says what was removed. ``model`` and
        ``consumer`` do not change.

    Raises:
        TypeError: If an argument has the wrong type, or ``consumer`` has a layer that cannot be cut.
        ValueError: If there is no mask, its gate is random in evaluation, the network does not go through ``torch.export``, changes its
            state in evaluation or returns no tensors, or a layer of ``consumer`` does not fit.
        RuntimeError: If the outputs differ, because ``model`` is random in evaluation.

    Examples:
        >>> import maskfusion
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.image, self.audio, self.head = nn.Linear(30, 8), nn.Linear(20, 8), nn.Linear(16, 5)
        ...
        ...     def forward(self, image, audio):
        ...         return self.head(torch.cat([self.image(image), self.audio(audio)], 1).relu())
        >>> model, example = Net(), {"image": torch.randn(4, 30), "audio": torch.randn(4, 20)}
        >>> mask = maskfusion.attach(model, {"image": "image", "audio": "audio"}, example)
        >>> with torch.no_grad():
        ...     mask.weight[6:] = 0.0  # as after training: six channels of the image are open
        >>> small = compact(model, example)
        >>> small
        SmallNetwork(reads ['image'], not ['audio'])
        >>> torch.allclose(small(image=example["image"]), model(**example), atol=1e-6)
        True
        >>> print(small.report)
               parameters  multiply-adds         bytes
        image  248 -> 186     960 -> 720    992 -> 744
        audio    168 -> 0       640 -> 0      672 -> 0
        joint   101 -> 35     320 -> 120    404 -> 140
        all    517 -> 221   1,920 -> 840  2,068 -> 884
        Not needed any more: audio.
    """
    if isinstance(model, ComplementaryMask):
        return compact_layers(model, example)
    from maskfusion.compact.network import compact_network

    return compact_network(model, example, entry, call, modalities)
