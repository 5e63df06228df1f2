"""CREMA-D: the voice of each clip, and what people who saw the face without it took the emotion for. Bring the files yourself."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in, none_of
from examples.data.reading.arrays import read_arrays
from examples.data.reading.files import UnreadableError, entry, listed, locate
from examples.data.reading.records import Layout
from examples.data.sets.crema_d import CATEGORIES, CLASSES, Name, parse
from examples.data.splits import Split, split_by_group
from examples.errors import UserError

SOUNDS, VOTES = "crema_d_logmel64.npz", "crema_d_human_votes.npz"
SOURCE = (
    "Data: CREMA-D, H. Cao, D. Cooper, M. Keutmann, R. Gur, A. Nenkova, R. Verma, IEEE Trans. Affective Computing 2014, "
    "https://github.com/CheyneyComputerScience/CREMA-D, Open Database License, as two files made of its AudioWAV and its "
    f"finishedResponses.csv. {SOUNDS}: logmel (uint8, 64 mel bands at 65 moments, 46 ms apart; value * 7 / 255 - 2 are "
    f"deviations of the clip), name (1001_DFA_ANG_XX ...). {VOTES}: votes (uint8, how many people chose anger, disgust, fear, "
    "happy, neutral, sad, given the voice, the face, both), name. Name their folder with --root."
)
GIVEN = ("voice", "face", "both")
"""What the raters were given, in the order of the votes."""
BANDS, FRAMES = 64, 65
_NAME = Layout("U24", ())
_SOUNDS = {"logmel": Layout("uint8", (BANDS, FRAMES)), "name": _NAME}
_VOTES = {"votes": Layout("int64", (len(GIVEN), len(CLASSES))), "name": _NAME}
_CLIPS, _SOUNDING, _ACTORS = 7442, 7441, 91


def load_crema_d_votes(
    place: Place, *, seed: int = 0, actors: int | None = None, validation: int = 9, test: int = 18
) -> MultimodalData:
    """Return `sound`, a sequence of 64 bands, ``(64, 65)``, and `faces`, the raters' votes given the face only, ``(6,)``.

    A clip's sound is a mel spectrogram in deviations of its own, so that loudness is gone, from its beginning, with silence
    after its end. Its votes are shares of its raters, 6 to 12 of them. The class is the emotion that the actor was to show. The
    split is drawn by actor: the same seed tests on the same people, however many others are learned from.

    Side labels: actor, sentence, level, see `examples.data.sets.crema_d.CATEGORIES`. A clip without any sound is left out.

    Args:
        place: Folder of both files.
        seed: Draws the split.
        actors: Number of actors to learn from; all others where it is None.
        validation: Number of actors that choose the epoch.
        test: Number of actors that are scored.

    Raises:
        UserError: A file is not there (says where to get it), damaged, or holds something else; or there are too few actors.
    """
    place = _locate(place)
    sounds = _read_sounds(place)
    names = sounds["name"].tolist()
    votes = read_votes(place, names)[:, GIVEN.index("face")]
    silent = np.ptp(sounds["logmel"], axis=(1, 2)) == 0
    there = np.flatnonzero(~silent)
    said = [parse(names[position]) for position in there]
    numbers = {field: torch.tensor([getattr(name, field) for name in said]) for field in Name._fields}
    return split_and_standardise(
        "crema-d-votes",
        {
            "sound": torch.as_tensor(sounds["logmel"][there]).float() * (7 / 255) - 2,
            "faces": torch.as_tensor(votes[there] / votes[there].sum(axis=1, keepdims=True)).float(),
        },
        numbers.pop("emotion"),
        kinds={"sound": "sequence", "faces": "vector"},
        classes=CLASSES,
        split=_split(numbers["actor"].numpy(), actors, validation, test, seed),
        labels=numbers,
        names=[names[position] for position in there],
        values={key: CATEGORIES[key] for key in ("sentence", "level")},
        left_out={names[position]: "has no sound" for position in np.flatnonzero(silent)},
    )


def check_crema_d_votes(place: Place) -> list[Finding]:
    """Read both files; count clips, actors and votes."""
    place = _locate(place)
    sounds, votes = _read_sounds(place), _read_votes(place)
    names = sounds["name"].tolist()
    without = sorted(set(names) - set(votes["name"].tolist()))
    return [
        looked_in(place),
        counted(SOUNDS, "clips", len(names), _SOUNDING),
        counted(SOUNDS, "actors", len({parse(name).actor for name in names}), _ACTORS),
        counted(VOTES, "clips", len(votes["name"]), _CLIPS),
        none_of(f"{VOTES}: clips with a sound and without votes", without),
    ]


def read_votes(place: Place, names: list[str]) -> NDArray[np.int64]:
    """Return how many people chose each emotion, ``(clips, 3, 6)``: given what, see `GIVEN`; and which, see `CLASSES`.

    Args:
        place: Folder of the votes.
        names: Names of the clips, in the order in which their votes are wanted.

    Raises:
        UserError: The file is not there or damaged, or a clip has no votes; names it.
    """
    place = _locate(place)
    arrays = _read_votes(place)
    position = {name: number for number, name in enumerate(arrays["name"].tolist())}
    unknown = [name for name in names if name not in position]
    if unknown:
        raise UnreadableError(
            f"'{entry(place.folder(), VOTES)}' must hold votes on every clip that has a sound; it lacks {listed(unknown)}. "
            f"{SOURCE}"
        )
    votes: NDArray[np.int64] = arrays["votes"][[position[name] for name in names]]
    return votes


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, SOUNDS).is_file() or entry(folder, VOTES).is_file(),
        sign=f"'{SOUNDS}'",
        source=SOURCE,
    )


def _read_sounds(place: Place) -> dict[str, NDArray[Any]]:
    return read_arrays(entry(place.folder(), SOUNDS), _SOUNDS, source=SOURCE)


def _read_votes(place: Place) -> dict[str, NDArray[Any]]:
    path = entry(place.folder(), VOTES)
    arrays = read_arrays(path, _VOTES, source=SOURCE)
    silent = arrays["votes"].sum(axis=2).min(axis=1) < 1
    if silent.any():
        raise UnreadableError(
            f"'{path}': array `votes` must hold at least one vote on each clip, given the voice, the face and both; there is "
            f"none on {listed(arrays['name'][silent].tolist())}. {SOURCE}"
        )
    return arrays


def _split(actor: NDArray[np.int64], actors: int | None, validation: int, test: int, seed: int) -> Split:
    """Draw the actors of the test, then those of validation, then those to learn from."""
    order = np.random.default_rng(seed).permutation(np.unique(actor)).tolist()
    left = len(order) - validation - test
    if validation < 0 or test < 1 or left < 1 or not (actors is None or 1 <= actors <= left):
        raise UserError(
            f"`actors` (={actors}), `validation` (={validation}) and `test` (={test}) must share out {len(order)} actors, at "
            "least one to learn from and one to score."
        )
    split = split_by_group(actor, order[test : test + validation], order[:test])
    learned = order[test + validation :][:actors]
    return replace(split, train=split.train[np.isin(actor[split.train], learned)])
