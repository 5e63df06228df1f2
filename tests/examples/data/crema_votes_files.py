"""Small files of the sounds of CREMA-D and of the votes on it."""

from pathlib import Path

import numpy as np

from examples.data.sets.crema_d_votes import SOUNDS, VOTES

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
SENTENCES = ("DFA", "IEO")


def votes_arrays(actors: int = 10) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Twelve clips an actor. Most who see the face are right; the votes list one clip more, first, and in another order."""
    random = np.random.default_rng(0)
    names = [
        f"{1001 + actor}_{sentence}_{emotion}_XX"
        for actor in range(actors)
        for sentence in SENTENCES
        for emotion in EMOTIONS
    ]
    emotion = np.arange(len(names)) % len(EMOTIONS)
    logmel = random.integers(0, 200, (len(names), 64, 65)) + 8 * emotion[:, None, None]
    votes = random.integers(0, 3, (len(names), 3, 6))
    votes[np.arange(len(names)), 1, emotion] += 6
    votes[:, :, 4] += 1  # somebody is always for neutral
    sounds = {"logmel": logmel.astype("uint8"), "name": np.array(names)}
    listed = ["1091_DFA_SAD_XX", *reversed(names)]
    more = np.ones((1, 3, 6))
    return sounds, {
        "votes": np.concatenate([more, votes[::-1]]).astype("uint8"),
        "name": np.array(listed),
    }


def write_votes(root: Path, sounds: dict[str, np.ndarray], votes: dict[str, np.ndarray]) -> None:
    """Write both files."""
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / SOUNDS, **sounds)
    np.savez(root / VOTES, **votes)
