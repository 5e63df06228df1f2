"""Figures, images and sounds as parts of a page: nothing is loaded from elsewhere."""

import io
import re
from base64 import b64encode
from itertools import count
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from examples.pictures import Picture
from examples.results.figures.style import COLOURS

INK, RULE = "#010203", "#0a0b0c"
"""Colours of a figure's text and of its lines; the page puts its own in their place, in dark and in light."""

_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "report", "svg.image_inline": True}
_COLOURS = {
    INK: "--ink",
    RULE: "--rule",
    COLOURS[0].lower(): "--c0",
}  # the others are seen well enough in the dark
_numbers = count()


def chart(figure: Figure, description: str) -> Markup:
    """Return a figure as an SVG element whose text is text, drawn in the colours of the page.

    Args:
        figure: Figure of Matplotlib.
        description: Description for readers who do not see it.
    """
    file = io.StringIO()
    with rc_context(_SETTINGS):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    body = file.getvalue()
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)[0]
    body = body[body.index(">", body.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    prefix = f"f{next(_numbers)}-"
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}", body)
    for colour, variable in _COLOURS.items():
        body = body.replace(colour, f"var({variable})")
    body = body.replace("xlink:href", "href")
    body = re.sub(r"(font(?:-family)?: [^;\"]*?)'[^;\"]*", r"\1inherit", body)
    opening = (
        f'<svg class="chart" role="img" aria-label="{escape(description)}" viewBox="0 0 {width} {height}">'
    )
    return Markup(opening + body)


def picture(shown: Picture, description: str) -> Markup:
    """Return a picture as an element.

    Args:
        shown: The picture.
        description: Description for readers who do not see it.
    """
    words = escape(description)
    if shown.png:
        return Markup(
            f'<img class="picture" decoding="async" alt="{words}" src="{_uri(shown.png, "image/png")}">'
        )
    box = " ".join(f"{value:.1f}" for value in shown.box)
    return Markup(f'<svg class="picture" role="img" aria-label="{words}" viewBox="{box}">{shown.lines}</svg>')


def player(wav: bytes, description: str) -> Markup:
    """Return a player of a sound.

    Args:
        wav: A sound file.
        description: Description of what is heard.
    """
    return Markup(
        f'<audio controls preload="none" aria-label="{escape(description)}" src="{_uri(wav, "audio/wav")}"></audio>'
    )


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"
