"""The study: what the page shows, part by part."""

from docs.shown.study.alone_first import (
    ahead,
    joining,
    open_share,
    ours_against,
    over,
    reached,
    seeds,
    times,
    unseen,
    what_stays_open,
)
from docs.shown.study.alone_first_claims import joining_claims
from docs.shown.study.cases import difference, missed, of_thirty, swept_seeds
from docs.shown.study.claims import claims
from docs.shown.study.mask import parts, resnet, sweep, zetas
from docs.shown.study.overview import adding, best, forest, in_short, prices, rows, settings, sizes
from docs.shown.study.tried import one_missing, other_masks, other_pool, other_pools
from docs.shown.study.tuned import turned
from docs.shown.study.vote import confirmed, decided

__all__ = [
    "adding",
    "ahead",
    "best",
    "claims",
    "confirmed",
    "decided",
    "difference",
    "forest",
    "in_short",
    "joining",
    "joining_claims",
    "missed",
    "of_thirty",
    "one_missing",
    "open_share",
    "other_masks",
    "other_pool",
    "other_pools",
    "ours_against",
    "over",
    "parts",
    "prices",
    "reached",
    "resnet",
    "rows",
    "seeds",
    "settings",
    "sizes",
    "sweep",
    "swept_seeds",
    "times",
    "turned",
    "unseen",
    "what_stays_open",
    "zetas",
]
