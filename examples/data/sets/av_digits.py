"""MNIST with the Free Spoken Digit Dataset: a written and a spoken digit. Bring the files yourself."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.pairs import Collection, pair_up
from examples.data.place import Finding, Place
from examples.data.reading.energy import EnergyReduction
from examples.data.sets.fsdd import SOURCE as FSDD
from examples.data.sets.fsdd import Clips, check_fsdd, read_fsdd
from examples.data.sets.mnist import CLASSES, as_maps, check_mnist, read_mnist
from examples.data.sets.mnist import SOURCE as MNIST
from examples.data.splits import Split, draw_groups, split_by_group
from examples.errors import UserError

SOURCE = f"One folder with both. {MNIST} {FSDD}"
_TEST_TAKES, _VALIDATION_TAKES = range(5), range(5, 10)
_SHARE = 1 / 6  # one speaker, of the six there are


def load_av_digits(
    place: Place,
    *,
    seed: int = 0,
    split: Literal["speakers", "turns", "takes"] = "speakers",
    validation_speakers: Sequence[str] = (),
    test_speakers: Sequence[str] = (),
    speakers: Sequence[str] = (),
    energy: float = 0.25,
    pairs: int = 3000,
    validation_pairs: int = 1000,
    test_pairs: int = 5000,
) -> MultimodalData:
    """Return `image` and `sound`, ``(1, 32, 32)`` each: a digit with a border of two zeros, and a `Spectrogram`.

    Every part is paired within itself, all ten digits equally often. Images: the last tenth of the official training
    part is for validation, the official test part for the test. Sounds: whole speakers, or takes, where 0 to 4 are
    the official test and 5 to 9 are for validation. The label `speaker` is a position among the speakers' names in
    alphabetical order.

    Args:
        place: Folder of both data sets.
        seed: Draws the training pairs, and the speakers where none are named.
        split: Whether validation and test hear other speakers, or other takes of the same ones. Speakers are drawn; with
            "turns" the seed is the number of the one for the test, and the next one is for validation, so that six seeds
            test each of the six once.
        validation_speakers: Names; one is drawn, and one for the test, where neither is given.
        test_speakers: Names.
        speakers: Only these are there at all; all six when none are named.
        energy: Share of the images' energy that is left, see `EnergyReduction`, fitted on all images for training.
        pairs: Number of training pairs; with few, many images and sounds are never seen.
        validation_pairs: Number of validation pairs, the same for every seed as long as the speakers are.
        test_pairs: Number of test pairs; the same.

    Raises:
        UserError: A file is not there (says which, and where to get it), damaged or holds something else, a speaker is not
            there, or there are fewer pairs.
    """
    mnist = read_mnist(place)
    clips, left_out = read_fsdd(place)
    known = np.unique(clips.speakers)
    if not set(speakers) <= set(known.tolist()):
        raise UserError(f"`speakers` (={list(speakers)}) must be some of {known.tolist()}.")
    if speakers:
        heard = np.isin(clips.speakers, list(speakers))
        clips = Clips(clips.sounds[heard], clips.digits[heard], clips.speakers[heard], clips.takes[heard])
    spoken = Collection(
        clips.sounds, clips.digits, _split(clips, split, validation_speakers, test_speakers, seed)
    )
    chosen, parts = pair_up(mnist, spoken, (pairs, validation_pairs, test_pairs), seed=seed)
    left, right = chosen.T
    images = mnist.values[left]
    if energy != 1:
        images = EnergyReduction(mnist.values[mnist.split.train], energy)(images)
    speaker = np.searchsorted(known, clips.speakers)
    return split_and_standardise(
        "av-digits",
        {"image": torch.as_tensor(as_maps(images)), "sound": torch.as_tensor(clips.sounds[right])},
        torch.as_tensor(mnist.labels[left]),
        kinds={"image": "image", "sound": "image"},
        classes=CLASSES,
        split=parts,
        labels={"speaker": torch.as_tensor(speaker[right])},
        values={"speaker": known.tolist()},
        left_out=left_out,
        names=[
            f"mnist {number}, fsdd {digit}_{speaker}_{take}"
            for number, digit, speaker, take in zip(
                left, clips.digits[right], clips.speakers[right], clips.takes[right], strict=True
            )
        ],
    )


def check_av_digits(place: Place) -> list[Finding]:
    """Read MNIST, look at the clips."""
    return [*check_mnist(place), *check_fsdd(place)]


def _split(clips: Clips, by: str, validation: Sequence[str], test: Sequence[str], seed: int) -> Split:
    if by == "speakers" and (validation or test):
        return split_by_group(clips.speakers, validation, test)
    if by == "turns" and not (validation or test):
        names = np.unique(clips.speakers)
        return split_by_group(clips.speakers, [names[(seed + 1) % len(names)]], [names[seed % len(names)]])
    if by == "speakers":
        return draw_groups(clips.speakers, _SHARE, _SHARE, seed=seed)
    if by != "takes" or validation or test:
        raise UserError(
            f"`split` (='{by}') must be 'speakers', 'turns' or 'takes', and only with 'speakers' speakers are named; they "
            f"are {[*validation, *test]}."
        )
    return Split(
        np.flatnonzero(clips.takes >= _VALIDATION_TAKES.stop),
        np.flatnonzero(np.isin(clips.takes, _VALIDATION_TAKES)),
        np.flatnonzero(np.isin(clips.takes, _TEST_TAKES)),
    )
