"""CREMA-D: 7,442 clips of 91 actors who speak 12 sentences in six emotions: face and voice. Bring the files yourself."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in, none_of
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.clips import KINDS, Recording, clip_decoding, columns, split_clips
from examples.data.reading.files import UnreadableError, entry, files_in, locate, read_table

SOURCE = (
    "Data: CREMA-D, H. Cao, D. Cooper, M. Keutmann, R. Gur, A. Nenkova, R. Verma, IEEE Trans. Affective Computing 2014, "
    "https://github.com/CheyneyComputerScience/CREMA-D, Open Database License. Its clips are in Git LFS: run "
    '`git lfs pull --include "VideoFlash,AudioWAV"` in the clone (2.4 GB); a zip archive of it holds pointers only. Name the '
    "clone with --root."
)
VIDEO, SOUND, LIST, PEOPLE = "VideoFlash", "AudioWAV", "SentenceFilenames.csv", "VideoDemographics.csv"
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
"""Clips that users of the data set have found to be broken, see its issue 8. They are left out unless they are asked for."""

_EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
_CLIPS, _ACTORS = 7442, 91
_RECORDING = Recording(around=15, crop=280 / 360, from_top=True, rate=44100, seconds=None)


class Name(NamedTuple):
    """What the name of a clip says, such as 1001_DFA_ANG_XX.

    Attributes:
        actor: 1001 to 1091.
        sentence: A position in `CATEGORIES`.
        emotion: A position in `CLASSES`.
        level: Strength of the emotion, a position in `CATEGORIES`.
    """

    actor: int
    sentence: int
    emotion: int
    level: int


def load_crema_d(
    place: Place, *, seed: int = 0, split: str = "random", standardise: bool = True, faulty: bool = False
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
        seed: Seed of the split.
        split: "random" (744 clips for validation, 744 to be scored, as published, and the other 5,950 to learn from),
            "speakers" (73, 9 and 9 actors), or the path of a JSON file that `Split.write` wrote.
        standardise: Whether to standardise; False keeps color in 0 to 1 and audio in decibels, as published.
        faulty: Whether the four clips of `FAULTY` stay in, where they can be read.
    """
    place = _locate(place)
    faults = {} if faulty else FAULTY
    people = _demographics(place.folder())
    clips = decode_once(_decoding(place.folder(), faults), place)
    labels = _labels(clips.names, people)
    there = {name: why for name, why in faults.items() if _clip(place.folder(), name).is_file()}
    return split_and_standardise(
        "crema-d",
        columns(clips),
        labels.pop("emotion"),
        kinds=KINDS,
        classes=CLASSES,
        split=split_clips(
            split, clips.names, labels["actor"].numpy(), {**faults, **clips.problems}, seed=seed
        ),
        standardise=standardise,
        labels=labels,
        names=clips.names,
        values=CATEGORIES,
        left_out={**there, **clips.problems},
    )


def check_crema_d(place: Place) -> list[Finding]:
    """Look at names, sizes and first bytes of all files, and read some."""
    place = _locate(place)
    folder = place.folder()
    there = files_in(entry(folder, VIDEO), ".flv")
    wav = files_in(entry(folder, SOUND), ".wav")
    names = [path.stem for path in there]
    known = [name for name in names if _parsed(name)]
    listed = _listed(folder)
    faults = [name for name in FAULTY if name in names]
    return [
        looked_in(place),
        counted(VIDEO, "flv files", len(there), _CLIPS),
        none_of(f"{VIDEO}: names that say no emotion", sorted(set(names) - set(known))),
        counted(VIDEO, "actors", len({parse(name).actor for name in known}), _ACTORS),
        first_bytes(VIDEO, there),
        counted(LIST, "clips", len(listed), _CLIPS),
        none_of(f"{LIST}: clips without a file", sorted(set(listed) - set(names))),
        counted(PEOPLE, "actors", len(_demographics(folder)), _ACTORS),
        first_bytes(f"{SOUND}, for clips without a sound track", wav),
        sampled(_decoding(folder, FAULTY)),
        Finding("known faults", "left out unless `faulty` is true", "; ".join(faults) or "none", good=True),
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: bool(files_in(entry(folder, VIDEO), ".flv")),
        sign=f"folder '{VIDEO}' with .flv files",
        source=SOURCE,
    )


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
            f"the name '{name}' does not say actor, sentence, emotion and level, as 1001_DFA_ANG_XX does; rename or remove it"
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


def _clip(folder: Path, name: str) -> Path:
    return entry(entry(folder, VIDEO), f"{name}.flv")


def _decoding(folder: Path, left_out: Container[str]) -> Decoding:
    """Return how to decode the clips that are listed or there; those that are listed only are found missing."""
    video, sound = entry(folder, VIDEO), entry(folder, SOUND)
    there = {path.stem: path for path in files_in(video, ".flv")}
    names = sorted({*_listed(folder), *there})
    items = [
        Item(name, (there.get(name, video / f"{name}.flv"),), (sound / f"{name}.wav",))
        for name in names
        if name not in left_out
    ]
    return clip_decoding("crema-d", items, _RECORDING, lambda item: parse(item.name))


def _labels(names: list[str], people: Mapping[int, Mapping[str, int]]) -> dict[str, torch.Tensor]:
    """Return the numbers of `Name` and of demographics by name, ``(clips,)`` each; -1 is not known."""
    unknown = Name(-1, -1, UNSCORED, -1)
    said = [_parsed(name) or unknown for name in names]
    columns = {field: [getattr(name, field) for name in said] for field in Name._fields}
    for field in ("age", "sex", "race", "ethnicity"):
        columns[field] = [people.get(name.actor, {}).get(field, -1) for name in said]
    return {field: torch.tensor(numbers) for field, numbers in columns.items()}


def _demographics(folder: Path) -> dict[int, dict[str, int]]:
    """Return age, sex, race and ethnicity of each actor; nothing where the file is missing.

    Raises:
        UnreadableError: It lacks a column, or a value is none that is known; names the line.
    """
    path = entry(folder, PEOPLE)
    if not path.is_file():
        return {}
    people = {}
    for line, row in enumerate(read_table(path, ("ActorID", "Age", "Sex", "Race", "Ethnicity")), start=2):
        if not (row["ActorID"].isdecimal() and (row["Age"] or "0").isdecimal()):
            raise UnreadableError(
                f"'{path}', line {line}: ActorID (='{row['ActorID']}') and Age (='{row['Age']}') must be numbers"
            )
        said = {"age": int(row["Age"] or -1)}
        for column in ("Sex", "Race", "Ethnicity"):
            words = CATEGORIES[column.lower()]
            if row[column] and row[column] not in words:
                raise UnreadableError(
                    f"'{path}', line {line}: {column} (='{row[column]}') must be one of {list(words)}"
                )
            said[column.lower()] = words.index(row[column]) if row[column] else -1
        people[int(row["ActorID"])] = said
    return people


def _listed(folder: Path) -> list[str]:
    path = entry(folder, LIST)
    rows = read_table(path, ("Filename",)) if path.is_file() else []
    return [row["Filename"] for row in rows if row["Filename"]]
