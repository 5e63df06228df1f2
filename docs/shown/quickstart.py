"""What the quickstart says of its numbers."""

from collections.abc import Mapping, Sequence

from docs.shown.claims import claim


def claims(
    scores: Mapping[str, float], masked: float, kept: Mapping[str, float], unread: Sequence[str]
) -> None:
    """Hold the words of the page against what it trained.

    Args:
        scores: Accuracy in percent of each network without a mask, by its modalities.
        masked: That of the network with the mask.
        kept: Share of each modality's channels that the mask leaves open.
        unread: Inputs that the smaller network does not need.
    """
    joined = scores["image + depth + audio"]
    claim("worse than the image alone", joined < scores["image"] - 2)
    claim("`depth` helps as it should", masked > scores["image"] + 2, masked > joined + 5)
    claim("`audio` is closed", kept["audio"] == 0, kept["image"] > 0, kept["depth"] > 0)
    claim("need not be computed", list(unread) == ["audio"])
