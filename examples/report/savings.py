"""What the closed channels of a network save."""

from dataclasses import dataclass

import maskfusion as mf
from examples.report.elements import Table
from examples.run.trained import Trained

_SAMPLES = 8
_WHOLE = {"joint": "what several share", "not read": "decoders and the like", "all": "the whole network"}


@dataclass(frozen=True)
class Savings:
    """What `compact` makes of a network.

    Args:
        table: Before and after, by modality.
        notes: Inputs that are not needed any more, and layers in which closed channels stay.
    """

    table: Table
    notes: list[str]


def savings(trained: Trained | None) -> Savings | None:
    """Make the network of a run smaller; None without a mask, or where it is not there."""
    if trained is None or trained.model.mask is None:
        return None
    samples = min(_SAMPLES, len(trained.data.test))
    report = mf.compact(trained.model, trained.first_of_test(samples), entry="prediction").report
    rows = [
        [
            _WHOLE.get(share.modality, share.modality),
            *(_change(*pair) for pair in (share.parameters, share.multiply_adds, share.bytes)),
        ]
        for share in (*report.shares, report.total)
    ]
    return Savings(
        Table(
            f"Before and after; multiply-adds of {samples} samples",
            ["part", "parameters", "multiply-adds", "bytes"],
            rows,
        ),
        [
            *([f"Not needed any more: {', '.join(report.unread)}."] if report.unread else []),
            *(str(layer) for layer in report.uncut),
        ],
    )


def _change(before: int, after: int) -> str:
    share = f" ({100 * after / before:.0f} %)" if before else ""
    return f"{before:,} \N{RIGHTWARDS ARROW} {after:,}{share}"
