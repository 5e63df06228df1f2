"""RML: 720 clips of 8 people who speak six languages in six emotions: face and voice. Bring the files yourself."""

import re
from pathlib import Path
from typing import NamedTuple

import torch

from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in, none_of
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.clips import KINDS, Recording, clip_decoding, columns, split_clips
from examples.data.reading.files import UnreadableError, files_below, locate
from examples.data.sets.crema_d import CLASSES

SOURCE = (
    "Data: RML Emotion Database, Y. Wang, L. Guan, IEEE Trans. Multimedia 2008, Ryerson Multimedia Lab "
    "(http://www.rml.ryerson.ca/rml-emotion-database.html), for research, on request. Name the folder with --root "
    "that holds the folders s1 to s8 at any depth, and in them, or in a folder for each language, an1.avi and so on."
)
SURPRISE = "surprise"
"""The emotion that CREMA-D does not have; and RML has nobody neutral."""

_CODES = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happy", "sa": "sad", "su": SURPRISE}
_CLIPS, _SPEAKERS = 720, 8
_RECORDING = Recording(around=22, crop=380 / 480, from_top=False, rate=32000, seconds=2.5)


class Clip(NamedTuple):
    """What the path of a clip says, such as rml-1/s1/an1.avi.

    Attributes:
        name: From the speaker's folder on, without the suffix: s1/an1.
        speaker: 1 to 8; 0 where the path does not say it.
        emotion: Name of the emotion; empty where the path does not say it.
        path: Path of the file.
    """

    name: str
    speaker: int
    emotion: str
    path: Path


def load_rml(
    place: Place, *, seed: int = 0, split: str = "random", surprise: bool = False, standardise: bool = True
) -> MultimodalData:
    """Return a frame of each clip as color, ``(3, 128, 128)``, and its sound as audio, ``(1, 256, 256)``.

    Classes are those of CREMA-D, in its order, so that a network that learned them there goes on here; nobody is
    neutral. As published: the frame is any within 22 of the middle one, its central square of 380 by 380 pixels out of
    480 rows, or as large a share of other sizes, resized; the sound is the central 2.5 s at 32 kHz, as a mel spectrogram
    in decibels, see `MelSpectrogram`, mirrored at both ends to 256 frames. Unlike published: the frame is the middle
    one outside training, resizing is antialiased, and the sound's rate is the one that the file names, not its double.

    All clips are decoded once, into 1.8 GB: 2.21 MB of frames and 0.26 MB of sound each.

    Side labels: speaker, 1 to 8.

    Args:
        place: A folder that holds those of the speakers, at any depth.
        seed: Seed of the split.
        split: "random" (a tenth of the clips for validation, a tenth to be scored), "speakers" (one and one of the
            eight), or the path of a JSON file that `Split.write` wrote. The published lists are not known.
        surprise: Whether surprise is a seventh class; otherwise its target is `UNSCORED`, as in the paper.
        standardise: Whether to standardise; False keeps color in 0 to 1 and audio in decibels, as published.
    """
    place = _locate(place)
    by_name = {clip.name: clip for clip in _clips(place.folder())}
    clips = decode_once(_decoding(place.folder()), place)
    found = [by_name[name] for name in clips.names]
    classes = (*CLASSES, SURPRISE) if surprise else CLASSES
    number = {emotion: position for position, emotion in enumerate(classes)}
    speaker = torch.tensor([clip.speaker for clip in found])
    return split_and_standardise(
        "rml",
        columns(clips),
        torch.tensor([number.get(clip.emotion, UNSCORED) for clip in found]),
        kinds=KINDS,
        classes=classes,
        split=split_clips(split, clips.names, speaker.numpy(), clips.problems, seed=seed),
        standardise=standardise,
        labels={"speaker": speaker},
        names=clips.names,
        left_out=clips.problems,
    )


def check_rml(place: Place) -> list[Finding]:
    """Count folders and files by name, look at every file and read some."""
    place = _locate(place)
    clips = _clips(place.folder())
    good = [clip for clip in clips if clip.speaker and clip.emotion]
    return [
        looked_in(place),
        counted("clips", "avi files", len(clips), _CLIPS),
        counted("folders s1 to s8", "speakers", len({clip.speaker for clip in good}), _SPEAKERS),
        *(
            counted(
                f"{code}*.avi", "clips", sum(clip.emotion == emotion for clip in good), _CLIPS // len(_CODES)
            )
            for code, emotion in _CODES.items()
        ),
        none_of(
            "paths that do not say speaker and emotion", [clip.name for clip in clips if clip not in good]
        ),
        first_bytes("clips", [clip.path for clip in clips]),
        sampled(_decoding(place.folder())),
    ]


def _locate(place: Place) -> Place:
    """Return the highest folder that holds clips: those of a speaker alone are no data set."""
    return locate(
        place,
        lambda folder: folder.resolve() == place.folder().resolve() and bool(files_below(folder, ".avi")),
        sign=".avi files",
        source=SOURCE,
    )


def _decoding(folder: Path) -> Decoding:
    clips = _clips(folder)
    by_name = {clip.name: clip for clip in clips}
    items = [Item(clip.name, (clip.path,)) for clip in clips]
    return clip_decoding("rml", items, _RECORDING, lambda item: _refuse(by_name[item.name]))


def _clips(folder: Path) -> list[Clip]:
    """Return the clips below a folder, by name."""
    return sorted(_clip(path.relative_to(folder), path) for path in files_below(folder, ".avi"))


def _clip(below: Path, path: Path) -> Clip:
    parts = below.with_suffix("").parts
    at = [number for number, part in enumerate(parts[:-1]) if re.fullmatch("[sS][1-8]", part)]
    speaker = int(parts[at[-1]][1]) if at else 0
    code = re.match("([a-z]{2})(?![a-z])", parts[-1].lower())
    return Clip(
        "/".join(parts[at[-1] :] if at else parts), speaker, _CODES.get(code[1], "") if code else "", path
    )


def _refuse(clip: Clip) -> None:
    if not clip.speaker:
        raise UnreadableError(
            f"'{clip.path}' does not name the speaker; name the folder that holds s1 to s8 with --root"
        )
    if not clip.emotion:
        raise UnreadableError(
            f"'{clip.path}' does not say the emotion; its name must begin with one of {list(_CODES)}"
        )
