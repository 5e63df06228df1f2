"""What a report is about: the folders that were named, the results in them, and the runs that are looked at closely."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.data.place import Place
from examples.errors import UserError
from examples.results import METRICS, EpochRecord, Results, Run
from examples.run.folder import RunFolder
from examples.run.loading import loaded
from examples.run.trained import Trained, load_trained

_RESULTS = "results.json"
_SAME = ("data", "data_options")  # what all runs of a report share


@dataclass(frozen=True)
class Subject:
    """One run that is looked at closely.

    Args:
        folder: Folder of the run.
        plan: Plan of the run, see `RunFolder.read_plan`.
        result: Result; None where training was cut short.
        epochs: One record each, as far as training came.
        trained: Trained network; None where no checkpoint is there.
    """

    folder: RunFolder
    plan: dict[str, Any] = field(repr=False)
    result: Run | None
    epochs: list[EpochRecord] = field(repr=False)
    trained: Trained | None = field(repr=False)

    @property
    def name(self) -> str:
        """Row and seed."""
        return f"{self.plan['row']}, seed {self.plan['seed']}"

    @property
    def channels(self) -> dict[str, int]:
        """Channels of each modality in the fused space; empty where neither result nor network is there."""
        if self.result is not None:
            return self.result.channels
        return dict(self.trained.model.channels) if self.trained is not None else {}

    @property
    def zeta(self) -> float | None:
        """Of the chosen weights, or after the last epoch there is; None where it is undefined."""
        if self.result is not None:
            return self.result.zeta
        return self.epochs[-1].zeta if self.epochs else None


@dataclass(frozen=True)
class Given:
    """Everything that was named.

    Args:
        comparisons: Results that a comparison wrote, by its folder; runs named one by one make one more.
        subjects: Runs that are looked at closely.
    """

    comparisons: dict[str, Results]
    subjects: list[Subject]

    @property
    def data(self) -> str:
        """Name of the data set."""
        if self.subjects:
            return str(self.subjects[0].plan["data"])
        return next(iter(self.comparisons.values())).data


def gather(paths: Sequence[Path], place: Place) -> Given:
    """Read what was named.

    Of a comparison, the first seed of each row with a mask is looked at closely, where its checkpoint was kept.

    Args:
        paths: Folders of runs and of comparisons.
        place: Location of the data; it is not read for comparisons without checkpoints.

    Raises:
        UserError: A folder holds neither, or there is no data.
        UserError: The runs are of several data sets, or another version wrote them.
    """
    comparisons = {str(path): Results.read(path / _RESULTS) for path in paths if (path / _RESULTS).is_file()}
    named = list(dict.fromkeys(RunFolder(path) for path in paths if str(path) not in comparisons))
    kept = [folder for path, results in comparisons.items() for folder in _kept(Path(path), results)]
    folders = list(dict.fromkeys([*named, *kept]))
    plans = [folder.read_plan() for folder in folders]
    _expect_one_data_set(plans, list(comparisons.values()))
    subjects = [_subject(folder, plan, place) for folder, plan in zip(folders, plans, strict=True)]
    alone = [subject for subject in subjects[: len(named)] if subject.result is not None]
    if alone:
        comparisons["the runs that were named"] = _together(alone, place)
    return Given(comparisons, subjects)


def _kept(path: Path, results: Results) -> list[RunFolder]:
    """Return the folder of the first seed of each masked row, where there is a checkpoint."""
    firsts = [runs[0] for runs in results.rows().values() if runs[0].masked]
    folders = [RunFolder(path / run.row / f"seed-{run.seed}") for run in firsts]
    return [folder for folder in folders if folder.last.is_file()]


def _expect_one_data_set(plans: Sequence[dict[str, Any]], results: Sequence[Results]) -> None:
    settings = [*plans, *(result.recipe for result in results)]
    for key in _SAME:
        found = [setting[key] for setting in settings]
        if any(value != found[0] for value in found):
            raise UserError(f"All runs of a report must have the same `{key}`; they have {found}.")


def _subject(folder: RunFolder, plan: dict[str, Any], place: Place) -> Subject:
    if folder.last.is_file():
        trained = load_trained(folder, place)
        return Subject(folder, plan, trained.result, trained.epochs, trained)
    result = folder.read_result()
    return Subject(folder, plan, result, [] if result is None else result.epochs, None)


def _together(subjects: Sequence[Subject], place: Place) -> Results:
    """Return the results of runs that were named one by one, as a comparison would give them."""
    plan = subjects[0].plan
    runs = [subject.result for subject in subjects if subject.result is not None]
    data = next((subject.trained.data for subject in subjects if subject.trained is not None), None)
    if data is None:
        data = loaded(plan["data"], place, seed=plan["seed"], options=plan["data_options"])
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return Results(
        data=plan["data"],
        modalities=list(dict.fromkeys(name for run in runs for name in run.channels)),
        classes=len(data.classes),
        metric=METRICS[data.task],
        samples={name: len(part) for name, part in parts.items() if part is not None},
        command="",
        recipe={"comparison": {subject.plan["row"]: subject.plan for subject in subjects}},
        versions=plan["versions"],
        machine="",
        seconds=sum(run.seconds for run in runs),
        trials=[],
        failures=[],
        runs=runs,
    )


def metric_name(subject: Subject) -> str:
    """Return what a score of this run is; just "score" where its data was not read."""
    return "score" if subject.trained is None else METRICS[subject.trained.data.task]
