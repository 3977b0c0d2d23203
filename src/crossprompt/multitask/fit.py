"""The whole job of several data sets: a run folder, and in it a classifier of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossprompt import distributed
from crossprompt.classifier import Classifier, freeze
from crossprompt.clip.model import CLIP
from crossprompt.data.items import Dataset
from crossprompt.description import DESCRIPTION
from crossprompt.evaluate import Result
from crossprompt.fitting import (
    check_data,
    describe_result,
    describe_settings,
    measure,
    note_metrics,
)
from crossprompt.held_out import describe_data
from crossprompt.job import Job
from crossprompt.methods.base import Method
from crossprompt.multitask.comparing import compare_tasks
from crossprompt.multitask.grouping import Cosines, choose_groups
from crossprompt.multitask.job import TasksJob
from crossprompt.multitask.task import Task
from crossprompt.multitask.training import train_tasks
from crossprompt.progress import NOTE, EpochReport, Reporter, Silent
from crossprompt.run_folder import SELECTION, RunFolder, open_run, read_run
from crossprompt.settings import require

Grouping = dict[str, Any]
"""``groups``: lists of tasks; ``cosines``: of every task with every other."""
Fitted = dict[str, tuple[Classifier, dict[str, Result]]]


@dataclass(frozen=True)
class _Part:
    """What is known of a task before it is trained."""

    task: Task
    job: Job
    few: Dataset
    settings: dict[str, Any]
    about_data: dict[str, Any]


def fit_tasks(
    job: TasksJob,
    output: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Fitted:
    """Learn several data sets together.

    Args:
        job: what to do.
        output: run folder, in which each task has a folder with its classifier; nothing is kept
            without one.
        resume: go on where the run folder's job was interrupted.
        overwrite: replace what is in the run folder.
        reporter: told how it goes.

    Returns:
        By task the classifier, and its result on every test set that the data has.

    Raises:
        RequestError: the request is wrong, or the folder holds another run.
        JobError: the training failed; what was good is kept.
    """
    job = job.check()
    reporter = reporter or Silent()
    first = job.jobs[0]
    device = distributed.join(first.device)
    require(
        distributed.processes() == 1,
        f"several data sets are learned by one process, found {distributed.processes()}; start one",
    )
    folder = None if output is None else open_run(output, resume=resume, overwrite=overwrite)
    clip = first.load_backbone(device)
    parts = _prepare(job, clip, reporter)
    grouping = _earlier_grouping(folder, job.names) or _group(parts, clip, reporter)
    for group in grouping["groups"]:
        reporter.say(f"{NOTE}{_in_words(group, grouping['cosines'])}")
    settings = _begin(folder, job, parts, grouping, reporter)
    groups = [[job.names.index(name) for name in group] for group in grouping["groups"]]
    reports = train_tasks(
        [part.task for part in parts],
        groups,
        clip,
        parts[0].task.recipe,
        settings,
        folder=None if folder is None else folder.path,
        resume=folder is not None and folder.goes_on,
        on_step=reporter.step,
    )
    return {
        part.task.name: _finish(part, clip, reports, grouping, folder, reporter) for part in parts
    }


def _prepare(job: TasksJob, clip: CLIP, reporter: Reporter) -> list[_Part]:
    whole = [one.load_data() for one in job.jobs]
    few = [
        data if one.shots is None else data.few_shot(one.shots, one.seed)
        for one, data in zip(job.jobs, whole, strict=True)
    ]
    # before the images are read, which may take minutes: what is wrong here is told at once
    methods = [one.build_method(clip, data) for one, data in zip(job.jobs, few, strict=True)]
    rows = zip(job.names, job.jobs, methods, whole, few, strict=True)
    return [_part(*row, clip, reporter) for row in rows]


def _part(
    name: str,
    job: Job,
    method: Method,
    whole: Dataset,
    few: Dataset,
    clip: CLIP,
    reporter: Reporter,
) -> _Part:
    require(len(few.train) > 0, f"{name} has no training images")
    few = check_data(job, few, reporter)
    about_data = describe_data(whole, few)
    settings = describe_settings(job, clip, method, few, about_data)
    task = Task.of(name, method, few.train, clip, job.train_config())
    return _Part(task, job, few, settings, about_data)


def _earlier_grouping(folder: RunFolder | None, names: Sequence[str]) -> Grouping | None:
    """That of the run that goes on: measured again, its last bits might differ."""
    if folder is None or not folder.goes_on:
        return None
    earlier = read_run(folder.path)["settings"].get("grouping", {})
    grouped = [name for group in earlier.get("groups", []) for name in group]
    return earlier if sorted(grouped) == sorted(names) else None


def _group(parts: Sequence[_Part], clip: CLIP, reporter: Reporter) -> Grouping:
    tasks, names = [part.task for part in parts], [part.task.name for part in parts]
    progress = reporter.count("Comparing data sets")
    cosines = compare_tasks(tasks, clip, tasks[0].recipe, parts[0].job.seed, progress)
    groups = [[names[position] for position in group] for group in choose_groups(cosines)]
    return {"groups": groups, "cosines": _by_name(cosines, names)}


def _by_name(cosines: Cosines, names: Sequence[str]) -> dict[str, dict[str, float]]:
    rows = zip(names, cosines.tolist(), strict=True)
    return {
        name: {other: round(x, 4) for other, x in zip(names, row, strict=True) if other != name}
        for name, row in rows
    }


def _in_words(group: Sequence[str], cosines: Mapping[str, Mapping[str, float]]) -> str:
    if len(group) == 1:
        return f"{group[0]} shares its prompt with no other data set"
    pairs = [cosines[one][other] for one in group for other in group if one != other]
    agreement = sum(pairs) / len(pairs)
    return f"{', '.join(group)} share a prompt (mean cosine of their gradients {agreement:.2f})"


def _begin(
    folder: RunFolder | None,
    job: TasksJob,
    parts: Sequence[_Part],
    grouping: Grouping,
    reporter: Reporter,
) -> dict[str, Any]:
    """What the result depends on, noted in the run folder."""
    tasks = {part.task.name: dict(part.settings) for part in parts}
    data = {name: settings.pop("data") for name, settings in tasks.items()}
    settings = {"tasks": tasks, "data": data, "grouping": grouping}
    if folder is None:
        return settings
    for note in folder.begin(job, settings, None):
        reporter.say(f"{NOTE}{note}")
    if not folder.goes_on:
        for part in parts:
            own = folder.path / part.task.name
            own.mkdir(exist_ok=True)
            (own / DESCRIPTION).unlink(missing_ok=True)
            if part.few.selection is not None:
                part.few.save_selection(own / SELECTION)
    return settings


def _finish(
    part: _Part,
    clip: CLIP,
    reports: Sequence[EpochReport],
    grouping: Grouping,
    folder: RunFolder | None,
    reporter: Reporter,
) -> tuple[Classifier, dict[str, Result]]:
    few, name = part.few, part.task.name
    about = describe_result(part.settings, part.about_data, reports)
    about["group"] = next(group for group in grouping["groups"] if name in group)
    method, seed = part.task.method, part.job.seed
    classifier = freeze(method, clip, few.train, val=few.val, seed=seed, information=about)
    results = measure(classifier, few, reporter)
    note_metrics(classifier, results)
    if folder is not None:
        classifier.save(folder.path / name)
    return classifier, results
