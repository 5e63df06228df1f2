"""Lists and names of a few clips as CREMA-D has them."""

from collections.abc import Sequence
from pathlib import Path

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
NAMES = [f"{actor}_DFA_{emotion}_XX" for actor in range(1001, 1006) for emotion in EMOTIONS]
PEOPLE = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1002,21,"Female","Asian","Hispanic"
1003,21,"Female","African American","Not Hispanic"
1004,42,"Female","Unknown",
"""


def write_lists(root: Path, names: Sequence[str]) -> None:
    rows = [f'{number},"{name}"' for number, name in enumerate(names, start=1)]
    (root / "SentenceFilenames.csv").write_text("\n".join(['"Stimulus_Number","Filename"', *rows]))
    (root / "VideoDemographics.csv").write_text(PEOPLE)


def clip(root: Path, name: str) -> Path:
    return root / "VideoFlash" / f"{name}.flv"
