"""How the samples of each modality are drawn. What differs from the default of its kind has a line in `DRAWN`."""

from examples.data.contract import Kind
from examples.pictures.base import Drawing, Picture
from examples.pictures.curves import Curves
from examples.pictures.images import Frames, Image
from examples.pictures.joints import KINECT, PENN, Skeleton
from examples.pictures.overlay import Overlay
from examples.pictures.sound import Sound, clip_sound, digit_sound

__all__ = ["BY_KIND", "DRAWN", "Drawing", "Overlay", "Picture", "drawing"]

BY_KIND: dict[Kind, Drawing] = {"image": Image(), "sequence": Curves(), "vector": Curves()}
"""Kind of modality to drawing."""

DRAWN: dict[tuple[str, str], Drawing] = {
    ("av-digits", "sound"): Sound(digit_sound),
    ("crema-d", "audio"): Sound(clip_sound(44_100)),
    ("rml", "audio"): Sound(clip_sound(32_000)),
    ("nyuv2", "depth"): Image("cividis"),
    ("penn-action", "pose"): Skeleton(PENN, moments=32, down=True, unseen=0.06),
    ("utd-mhad", "depth"): Frames("cividis"),
    ("utd-mhad", "skeleton"): Skeleton(KINECT, moments=48),
}
"""Name of the data set and of the modality to drawing."""


def drawing(data: str, modality: str, kind: Kind) -> Drawing:
    """Return how a modality is drawn.

    Args:
        data: Name of the data set.
        modality: Name of the modality.
        kind: Decides where neither has a drawing of its own.
    """
    return DRAWN.get((data, modality), BY_KIND[kind])
