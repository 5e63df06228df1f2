"""CREMA-D: 7,442 clips of 91 actors who speak 12 sentences in six emotions: face and voice. Bring the files yourself."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted
from examples.data.reading.cache import Item, UnreadableError
from examples.data.reading.clips import KINDS, Recording, columns, decode_clips, none_of, split_clips

SOURCE = (
    "Data: CREMA-D, H. Cao, D. Cooper, M. Keutmann, R. Gur, A. Nenkova, R. Verma, IEEE Trans. Affective Computing 2014, "
    "https://github.com/CheyneyComputerScience/CREMA-D, Open Database License. Its clips are in Git LFS: run "
    "`git lfs pull` in the clone, a zip archive of it holds pointers only. Name the clone with --root."
)
CLASSES = ("anger", "disgust", "fear", "happy", "neutral", "sad")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "sentence": ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"),
    "level": ("LO", "MD", "HI", "XX"),
    "sex": ("Male", "Female"),
    "race": ("African American", "Asian", "Caucasian", "Unknown"),
    "ethnicity": ("Not Hispanic", "Hispanic"),
}
"""What the numbers of the side labels stand for; -1 is not known. ``actor`` is 1001 to 1091, ``age`` is in years."""
FAULTY = {
    "1064_IEO_DIS_MD": "lasts a minute and shows several emotions",
    "1064_TIE_SAD_XX": "has no length",
    "1076_MTI_NEU_XX": "has no sound",
    "1076_MTI_SAD_XX": "shows no face and has no sound",
}
"""Clips that users of the data set have found to be broken, see its issue 8. The published splits hold all of them."""

_EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
_CLIPS, _ACTORS = 7442, 91
_POINTER = 200  # bytes; a pointer of Git LFS has fewer, a clip many more
_RECORDING = Recording(around=15, crop=280 / 360, from_top=True, rate=44100, seconds=None)


class Name(NamedTuple):
    """What the name of a clip says, such as 1001_DFA_ANG_XX.

    Attributes:
        actor: 1001 to 1091.
        sentence: A position in `CATEGORIES`.
        emotion: A position in `CLASSES`.
        level: Of the emotion, a position in `CATEGORIES`.
    """

    actor: int
    sentence: int
    emotion: int
    level: int


def load_crema_d(
    place: Place, *, seed: int = 0, split: str = "random", standardise: bool = True
) -> MultimodalData:
    """Return a frame of each clip as color, ``(3, 128, 128)``, and its sound as audio, ``(1, 256, 256)``.

    As published: the frame is any of 31 within half a second of the middle, 280 of its 360 rows, from the top, and as
    many columns, from the middle, resized. The sound is the mean of all channels at 44.1 kHz, as a mel spectrogram in
    decibels, see `MelSpectrogram`; its central 256 frames, a short one mirrored at both ends. Unlike published: the
    frame is the middle one outside training, and resizing is antialiased. A clip without a sound track gets the sound
    of its file in ``AudioWAV``, which holds no more than 8 kHz.

    All clips are decoded once, into 13.3 GB: 1.52 MB of frames and 0.26 MB of sound each. A clip takes a core about a
    twentieth of a second, so all of them take one core some six minutes.

    Side labels: actor, sentence, level, age, sex, race, ethnicity, see `CATEGORIES`.

    Args:
        place: The data set's own folder, with ``VideoFlash`` in it.
        seed: Of the split.
        split: "random" (5,954 clips to learn from, 744 for validation, 744 to be scored, as published), "speakers"
            (73, 9 and 9 actors), or the path of a JSON file that `Split.write` wrote.
        standardise: False keeps color in 0 to 1 and audio in decibels, as published.
    """
    items = _items(place)
    clips = decode_clips("crema-d", place, items, _RECORDING, lambda item: parse(item.name))
    names = [item.name for item in items]
    labels = _labels(names, _demographics(place.folder() / "VideoDemographics.csv"))
    return split_and_standardise(
        "crema-d",
        columns(clips),
        labels.pop("emotion"),
        kinds=KINDS,
        classes=CLASSES,
        split=split_clips(split, names, labels["actor"].numpy(), clips.good, seed=seed),
        standardise=standardise,
        labels=labels,
        names=names,
        values=CATEGORIES,
    )


def check_crema_d(place: Place) -> list[Finding]:
    """Look at the names and sizes of the files."""
    folder = place.folder()
    files = {path.stem: path for path in _files(folder / "VideoFlash", ".flv")}
    listed = _listed(folder / "SentenceFilenames.csv")
    known = [name for name in files if _parsed(name)]
    people = _demographics(folder / "VideoDemographics.csv")
    sound = len(_files(folder / "AudioWAV", ".wav"))
    return [
        counted("VideoFlash", "flv files", len(files), _CLIPS),
        none_of(
            "VideoFlash: pointers of Git LFS",
            [name for name in files if files[name].stat().st_size < _POINTER],
        ),
        none_of("VideoFlash: names that say no emotion", sorted(set(files) - set(known))),
        counted("VideoFlash", "actors", len({parse(name).actor for name in known}), _ACTORS),
        counted("SentenceFilenames.csv", "clips", len(listed), _CLIPS),
        none_of(
            "SentenceFilenames.csv: clips without a file", [name for name in listed if name not in files]
        ),
        counted("VideoDemographics.csv", "actors", len(people), _ACTORS),
        Finding("AudioWAV", "for clips without a sound track", f"{sound:,} wav files", True),
        Finding(
            "known faults",
            "--on-error skip leaves out what cannot be read",
            "; ".join(f"{name} {fault}" for name, fault in FAULTY.items() if name in files) or "none",
            True,
        ),
    ]


def parse(name: str) -> Name:
    """Return what the name of a clip says.

    Raises:
        UnreadableError: It is no name of this data set.
    """
    actor, sentence, emotion, level = [*name.split("_"), "", "", "", ""][:4]
    known = zip(
        (sentence, emotion, level), (CATEGORIES["sentence"], _EMOTIONS, CATEGORIES["level"]), strict=True
    )
    if name.count("_") != 3 or not actor.isdecimal() or not all(code in codes for code, codes in known):
        raise UnreadableError(
            "the name does not say actor, sentence, emotion and level, as 1001_DFA_ANG_XX does"
        )
    return Name(
        int(actor),
        CATEGORIES["sentence"].index(sentence),
        _EMOTIONS.index(emotion),
        CATEGORIES["level"].index(level),
    )


def _parsed(name: str) -> Name | None:
    try:
        return parse(name)
    except UnreadableError:
        return None


def _items(place: Place) -> list[Item]:
    """Return the clips that are listed or there; files that are listed only are found missing when they are read."""
    folder = place.folder()
    there = _files(folder / "VideoFlash", ".flv")
    if not there:
        raise FileNotFoundError(f"No .flv files in '{folder / 'VideoFlash'}'. {SOURCE}")
    names = sorted({*_listed(folder / "SentenceFilenames.csv"), *(path.stem for path in there)})
    return [
        Item(name, (folder / "VideoFlash" / f"{name}.flv", folder / "AudioWAV" / f"{name}.wav"))
        for name in names
    ]


def _labels(names: list[str], people: Mapping[int, Mapping[str, int]]) -> dict[str, torch.Tensor]:
    """Return the numbers of `Name` and of demographics by name, ``(clips,)`` each; -1 is not known."""
    unknown = Name(-1, -1, UNSCORED, -1)
    said = [_parsed(name) or unknown for name in names]
    columns = {field: [getattr(name, field) for name in said] for field in Name._fields}
    for field in ("age", "sex", "race", "ethnicity"):
        columns[field] = [people.get(name.actor, {}).get(field, -1) for name in said]
    return {field: torch.tensor(numbers) for field, numbers in columns.items()}


def _demographics(path: Path) -> dict[int, dict[str, int]]:
    """Return age, sex, race and ethnicity of each actor; nothing where the file is missing."""

    def number(field: str, value: str) -> int:
        if field == "age":
            return int(value) if value.isdecimal() else -1
        return CATEGORIES[field].index(value) if value in CATEGORIES[field] else -1

    return {
        int(row["ActorID"]): {
            field.lower(): number(field.lower(), row.get(field) or "")
            for field in ("Age", "Sex", "Race", "Ethnicity")
        }
        for row in _rows(path)
        if (row.get("ActorID") or "").isdecimal()
    }


def _listed(path: Path) -> list[str]:
    return [name for row in _rows(path) if (name := row.get("Filename"))]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
