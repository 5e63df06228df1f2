"""How training went, as figures: the mask, compl, contr and zeta, losses, codebooks."""

from collections.abc import Mapping, Sequence

from examples.report import charts, matrices
from examples.report.elements import Figure, number
from examples.report.measure import Measured
from examples.report.subjects import Subject


def channels_over_training(subject: Subject) -> list[Figure]:
    """Return the mask, compl, contr and zeta after each epoch; nothing without a mask."""
    records, channels = subject.epochs, subject.channels
    if not records or not records[0].complementary:
        return []
    total = sum(channels.values())
    kept = {name: [record.complementary[name] for record in records] for name in channels}
    closed = {
        name: [100 * channels[name] / total - share for share in shares] for name, shares in kept.items()
    }
    top = max(100 * count / total for count in channels.values())
    figures = [
        Figure(
            charts.curves(
                kept, "compl, % of fused channels", f"compl over training; at the end {_ends(kept)}", top=top
            ),
            "Complementary channels: what is open of each modality (Eq. 8).",
        ),
        Figure(
            charts.curves(
                closed,
                "contr, % of fused channels",
                f"contr over training; at the end {_ends(closed)}",
                top=top,
            ),
            "Contradictory channels: what it has closed.",
        ),
        Figure(
            charts.curves(
                {"zeta": [record.zeta for record in records]},
                "ζ",
                f"zeta over training; at the end {number(records[-1].zeta)}",
                top=1.0,
            ),
            "Zeta: the smallest over the largest open share (Eq. 7); 1 where all modalities are used alike.",
        ),
    ]
    if records[0].mask:
        words = "Channels by epochs, grouped by modality. Coloured: open. Pale: closed. Those that were open longest come first."
        figures.insert(0, Figure(matrices.mask_picture(records, channels, f"The mask. {words}"), words))
    return figures


def learning(subject: Subject, measured: Measured | None) -> list[Figure]:
    """Return losses, validation score, perplexity, and the codes in use; what was not recorded is left out."""
    records, figures = subject.epochs, []
    if records and records[0].loss:
        names = [
            name
            for name in records[0].loss
            if name != "mask" and any(record.loss[name] for record in records)
        ]
        lines: dict[str, list[float | None]] = {
            name: [record.loss[name] or None for record in records] for name in names
        }
        if records[0].validation:
            lines["task, validation"] = [record.validation["loss"] for record in records]
        described = f"Loss terms over training; at the end {_ends(lines)}"
        figures.append(
            Figure(
                charts.curves(lines, "loss", described, log=True),
                "Terms of Eq. 1, unweighted, and their weighted sum (total).",
            )
        )
    if records and records[0].validation:
        scores = {"score": [record.validation["score"] for record in records]}
        described = f"Validation score over training; at the end {_ends(scores)}"
        figures.append(Figure(charts.curves(scores, "score, %", described), "Score on the validation part."))
    if records and records[0].perplexity:
        codes = {name: [record.perplexity[name] for record in records] for name in records[0].perplexity}
        described = f"Perplexity over training; at the end {_ends(codes)}"
        most = subject.plan["network"]["codes"]
        figures.append(
            Figure(
                charts.curves(codes, "perplexity", described),
                f"Perplexity of the codebooks, of at most {most}, the mean over each epoch.",
            )
        )
    if measured is not None and measured.usage:
        used = [
            f"{name} {int((counts > 0).sum())} of {len(counts)}" for name, counts in measured.usage.items()
        ]
        words = f"Codes in use on the test part: {', '.join(used)}."
        figures.append(
            Figure(charts.code_usage(measured.usage, f"How often each code is used. {words}"), words)
        )
    return figures


def _ends(lines: Mapping[str, Sequence[float | None]]) -> str:
    return ", ".join(f"{name} {number(values[-1])}" for name, values in lines.items())
