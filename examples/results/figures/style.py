"""Colours and lines that all figures share."""

from typing import Any

# Okabe and Ito's colours, told apart with any kind of colour vision; line styles repeat the message.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
CLOSED = "#ECECEC"
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "figure.dpi": 160,
    "figure.facecolor": "white",
    "legend.frameon": False,
}
