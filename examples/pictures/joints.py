"""Poses as stick figures at a few moments."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from examples.pictures.base import Picture, Values
from examples.pictures.images import moments

_HEIGHT = 96.0
_MARGIN = 0.12  # of the figures' own size, on every side
_BEYOND = 3.0  # sizes away from the box is as far as a joint is drawn


class Body(NamedTuple):
    """Which joints are connected.

    Attributes:
        joints: How many.
        trunk: Pairs of joints in the middle.
        left: Pairs on the person's left.
        right: Pairs on the person's right.
    """

    joints: int
    trunk: tuple[tuple[int, int], ...]
    left: tuple[tuple[int, int], ...]
    right: tuple[tuple[int, int], ...]


KINECT = Body(
    20,
    ((0, 1), (1, 2), (2, 3)),
    ((1, 4), (4, 5), (5, 6), (6, 7), (3, 12), (12, 13), (13, 14), (14, 15)),
    ((1, 8), (8, 9), (9, 10), (10, 11), (3, 16), (16, 17), (17, 18), (18, 19)),
)
"""Head, shoulder centre, spine, hip centre; left shoulder to hand, right; left hip to foot, right."""

PENN = Body(
    13,
    ((1, 2), (7, 8)),
    ((0, 1), (1, 3), (3, 5), (1, 7), (7, 9), (9, 11)),
    ((0, 2), (2, 4), (4, 6), (2, 8), (8, 10), (10, 12)),
)
"""Head; left and right shoulder, elbow, wrist, hip, knee, ankle."""


@dataclass(frozen=True)
class Skeleton:
    """A clip whose channels are coordinates, x and y first, whose height is time and whose width is the joints.

    Args:
        body: Pairs of joints that are connected.
        moments: Moments of the clip, before it was resized.
        down: Whether y grows downwards, as in pixels; upwards in metres.
        count: Number of moments shown, evenly spaced.
        unseen: Joints no farther than this from (0, 0) were not seen, and are left out; None where all are.
    """

    body: Body
    moments: int
    down: bool = False
    count: int = 4
    unseen: float | None = None

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return a picture for each sample, ``(samples, 2 or more, height, width)``, resized to the joints there are.

        A sequence ``(samples, channels, moments)`` has the coordinates of each joint in turn.
        """
        shown, inputs = self._joints(values), self._joints(like)
        seen = inputs[self._seen(inputs)]
        low, high = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.ones(2))
        margin = _MARGIN * (high - low).max()
        left, top = low - margin
        width, height = high - low + 2 * margin + 1e-6
        scale = _HEIGHT / height
        box = (0.0, 0.0, self.count * width * scale, _HEIGHT)
        pictures = []
        for sample in shown:
            placed = ((sample - (left, top)) * scale).clip(-_BEYOND * _HEIGHT, (1 + _BEYOND) * _HEIGHT)
            placed += np.arange(self.count)[:, None, None] * (width * scale, 0)
            figures = map(self._figure, placed, self._seen(sample))
            pictures.append(Picture(lines="".join(figures), box=box))
        return pictures

    def _seen(self, joints: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which joints are drawn, of ``(..., 2)``."""
        away = np.hypot(joints[..., 0], joints[..., 1])
        return away > (-1 if self.unseen is None else self.unseen)

    def _joints(self, values: Values) -> NDArray[np.float64]:
        """Return x and y, y downwards, ``(samples, moments shown, joints, 2)``."""
        size = (self.moments, self.body.joints)
        if values.ndim == 3:
            samples, channels, length = values.shape
            by_joint = values.reshape(samples, self.body.joints, channels // self.body.joints, length)
            values = by_joint.transpose(0, 2, 3, 1)
        maps = torch.from_numpy(np.ascontiguousarray(values[:, :2]))
        if maps.shape[2:] != size:
            maps = interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)
        shown = maps[:, :, moments(self.moments, self.count)].permute(0, 2, 3, 1).double().numpy()
        return shown * (1.0, 1.0 if self.down else -1.0)

    def _figure(self, joints: NDArray[np.float64], seen: NDArray[np.bool_]) -> str:
        sides = (("trunk", self.body.trunk), ("left", self.body.left), ("right", self.body.right))
        bones = []
        for side, pairs in sides:
            moves = "".join(
                f"M{joints[a, 0]:.1f} {joints[a, 1]:.1f}L{joints[b, 0]:.1f} {joints[b, 1]:.1f}"
                for a, b in pairs
                if seen[a] and seen[b]
            )
            bones.append(f'<path class="bone {side}" d="{moves}"/>' if moves else "")
        head = (
            f'<circle class="head" cx="{joints[0, 0]:.1f}" cy="{joints[0, 1]:.1f}" r="4"/>' if seen[0] else ""
        )
        return "".join(bones) + head
