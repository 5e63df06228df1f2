"""Who brought how much to a joint result: Shapley values of any game, exactly or from sampled orders of joining."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise

import torch

Coalition = tuple[str, ...]
"""The players that take part, in the order in which the game lists them all."""


def all_coalitions(players: Sequence[str]) -> list[Coalition]:
    """Every set of players, from none to all."""
    return [chosen for size in range(len(players) + 1) for chosen in combinations(players, size)]


def shapley_values(players: Sequence[str], values: Mapping[Coalition, float]) -> dict[str, float]:
    r"""Divide among players what they reach together: each gets the mean of what it adds, over all orders of joining.

    .. math:: \varphi_m = \sum_{S \subseteq \{1 \ldots M\} \setminus m} \frac{|S|!\,(M - |S| - 1)!}{M!}
        \bigl(v(S \cup m) - v(S)\bigr)

    Args:
        players: All players.
        values: Value v of every set of players; a set is a tuple in the order of ``players``; ``()`` is the empty set.

    Returns:
        A number for each player. They add up to ``v(all) - v(())``; interchangeable players get the same, and one that
        never adds anything gets 0.

    Raises:
        ValueError: If the value of a set is missing.

    Examples:
        >>> together = {(): 0.5, ("image",): 0.7, ("audio",): 0.5, ("image", "audio"): 0.9}
        >>> {name: round(value, 3) for name, value in shapley_values(["image", "audio"], together).items()}
        {'image': 0.3, 'audio': 0.1}

    Reference: Shapley, 1953.
    """
    missing = [chosen for chosen in all_coalitions(players) if chosen not in values]
    if missing:
        raise ValueError(f"`values` lacks {len(missing)} of {2 ** len(players)} sets, {missing[0]} first.")
    count = len(players)
    shares = {}
    for player in players:
        others = [other for other in players if other != player]
        shares[player] = math.fsum(
            (values[joined(players, rest, player)] - values[rest]) / (count * math.comb(count - 1, len(rest)))
            for rest in all_coalitions(others)
        )
    return shares


def joined(players: Sequence[str], *parts: str | Coalition) -> Coalition:
    """The set of several players and sets, in the order of ``players``."""
    chosen = {name for part in parts for name in ((part,) if isinstance(part, str) else part)}
    return tuple(player for player in players if player in chosen)


def draw_orders(players: Sequence[str], count: int, generator: torch.Generator | None) -> list[Coalition]:
    """So many orders in which the players join, each equally likely."""
    device = None if generator is None else generator.device
    draws = (torch.randperm(len(players), generator=generator, device=device) for _ in range(count))
    return [tuple(players[position] for position in draw.tolist()) for draw in draws]


def growing(players: Sequence[str], order: Coalition) -> Iterator[Coalition]:
    """The sets that arise as the players join in this order, from none to all."""
    return (joined(players, order[:size]) for size in range(len(order) + 1))


def sampled_values(
    players: Sequence[str], values: Mapping[Coalition, float], orders: Sequence[Coalition]
) -> tuple[dict[str, float], dict[str, float]]:
    """Shapley values over these orders only, and the standard error of each.

    What the players get in one order adds up to ``v(all) - v(nobody)``, and so does the mean.

    Reference: Castro, Gomez and Tejada, 2009.
    """
    added: dict[str, list[float]] = {player: [] for player in players}
    for order in orders:
        steps = pairwise(growing(players, order))
        for player, (before, after) in zip(order, steps, strict=True):
            added[player].append(values[after] - values[before])
    means = {player: math.fsum(gains) / len(orders) for player, gains in added.items()}
    errors = {}
    for player, gains in added.items():
        squares = math.fsum((gain - means[player]) ** 2 for gain in gains)
        errors[player] = math.sqrt(squares / (len(orders) - 1) / len(orders))
    return means, errors
