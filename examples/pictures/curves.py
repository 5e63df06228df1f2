"""Sequences and vectors as curves."""

from dataclasses import dataclass

from examples.pictures.base import Picture, Values, limits

_WIDTH, _HEIGHT = 128.0, 64.0
_COLOURS = 6  # classes c0, c1, ... of the page


@dataclass(frozen=True)
class Curves:
    """A line for each channel of a sequence, one line for a vector.

    Args:
        most: Channels that are drawn, the first ones.
    """

    most: int = 6

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return a picture for each sample, ``(samples, channels, length)`` or ``(samples, features)``."""
        low, high = (float(value) for value in limits(like))
        return [
            Picture(lines=self._lines(sample, low, high), box=(0, 0, _WIDTH, _HEIGHT)) for sample in values
        ]

    def _lines(self, sample: Values, low: float, high: float) -> str:
        channels = sample[None] if sample.ndim == 1 else sample[: self.most]
        step = _WIDTH / max(channels.shape[1] - 1, 1)
        lines = []
        for number, channel in enumerate(channels):
            heights = ((high - channel) / (high - low)).clip(-1, 2) * (_HEIGHT - 4) + 2
            points = " ".join(f"{step * place:.1f},{height:.1f}" for place, height in enumerate(heights))
            lines.append(f'<polyline class="curve c{number % _COLOURS}" points="{points}"/>')
        return "".join(lines)
