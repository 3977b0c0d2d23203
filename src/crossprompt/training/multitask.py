"""Train on several data sets together: one run folder, and in it a classifier of each data set."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.evaluate import Result
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.methods import METHODS, find_method
from crossprompt.training.checkpoint import refer_to
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import SELECTION, RunFolder, finish, open_run, read_run, resolve
from crossprompt.training.tasks import Task, choose_groups, compare_tasks, train_tasks
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.progress import NOTE, Reporter, Silent

Grouping = dict[str, Any]
"""``groups``: lists of data sets; ``cosines``: of every data set with every other."""


@dataclass(frozen=True)
class MultiTaskConfig:
    """Configs of at least two data sets, which differ in nothing but the data."""

    jobs: tuple[FitConfig, ...]

    def check(self) -> "MultiTaskConfig":
        """Validate before any work.

        Returns:
            The same config with the length of the groups' prompts set.

        Raises:
            RequestError: the method learns from one data set only, two have the same name, or a
                setting is impossible or would be ignored.
        """
        first, data = self.jobs[0], ", ".join(job.data for job in self.jobs)
        method = find_method(first.method)
        able = [name for name, other in METHODS.items() if other.learns_together]
        require(
            method.learns_together,
            f"{first.method} learns from one data set, found {len(self.jobs)}: {data}; give one, "
            f"or --method {' or '.join(able)}, which learns several together",
        )
        for name, times in Counter(self.names).items():
            require(times == 1, f"{times} data sets are called {name!r}; rename all but one")
        config = method.Config.of(first.options, first.method).to_json()
        options = {"group_length": config["length"], **first.options}
        require(
            options["group_length"] >= 1,
            f"{first.method}: group_length is 0, expected 1 or more with several data sets, which "
            "would share nothing",
        )
        ignored = {"memory_limit": first.train_config().memory_limit}
        for name, value in {**ignored, "class_names": first.class_names}.items():
            require(value is None, f"{name} would be ignored with several data sets; leave it out")
        jobs = tuple(replace(job, options=options) for job in self.jobs)
        for job in jobs:
            job.check()
            if replace(job, data="", root=None) != replace(jobs[0], data="", root=None):
                raise RequestError("the configs of several data sets differ in more than the data")
        return MultiTaskConfig(jobs)

    @property
    def names(self) -> list[str]:
        """Names of the data sets: as of a run of each alone, without the method."""
        return [job.default_output().name.removesuffix(f"-{job.method}") for job in self.jobs]

    def default_output(self) -> Path:
        """``runs/DATA+DATA-METHOD``."""
        return Path("runs") / f"{'+'.join(self.names)}-{self.jobs[0].method}"


def fit_tasks(
    config: MultiTaskConfig,
    output: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, tuple[Classifier, dict[str, Result]]]:
    """Train several data sets together; see ``fit``, whose results these are by data set."""
    config, reporter = config.check(), reporter or Silent()
    device = distributed.join(config.jobs[0].device)
    require(
        distributed.processes() == 1,
        f"several data sets are learned by one process, found {distributed.processes()}; start one",
    )
    folder = open_run(output, resume=resume, overwrite=overwrite)
    clip = config.jobs[0].load_backbone(device)
    data = [job.load_data() for job in config.jobs]
    runs = [
        resolve(job, whole, clip, reporter) for job, whole in zip(config.jobs, data, strict=True)
    ]
    tasks = [Task.of(name, run) for name, run in zip(config.names, runs, strict=True)]
    grouping = _earlier_grouping(folder, config.names)
    if grouping is None:
        grouping = group(tasks, reporter.count("Comparing data sets"))
    for members in grouping["groups"]:
        reporter.say(f"{NOTE}{_describe(members, grouping['cosines'])}")
    record = _begin(folder, config, tasks, grouping, reporter)
    path, groups = folder.path, grouping["groups"]
    reports = train_tasks(tasks, groups, refer_to(record), path, folder.resumes, reporter.step)
    found = {}
    for task in tasks:
        own = next(members for members in groups if task.name in members)
        place = None if path is None else path / task.name
        found[task.name] = finish(task.run, reports, place, reporter, group=own)
    return found


def group(tasks: Sequence[Task], progress: Callable[[int, int], None] | None = None) -> Grouping:
    """Compare tasks, and divide them into groups that share a prompt, by name."""
    names, cosines = [task.name for task in tasks], compare_tasks(tasks, progress)
    rows = zip(names, cosines.tolist(), strict=True)
    return {
        "groups": [[names[position] for position in members] for members in choose_groups(cosines)],
        "cosines": {
            name: {other: round(x, 4) for other, x in zip(names, row, strict=True) if other != name}
            for name, row in rows
        },
    }


def _earlier_grouping(folder: RunFolder, names: Sequence[str]) -> Grouping | None:
    """Grouping of the run that resumes: measured again, its last bits might differ."""
    if folder.path is None or not folder.resumes:
        return None
    earlier: Grouping = read_run(folder.path).settings.get("grouping", {})
    grouped = [name for members in earlier.get("groups", []) for name in members]
    return earlier if sorted(grouped) == sorted(names) else None


def _describe(members: Sequence[str], cosines: Mapping[str, Mapping[str, float]]) -> str:
    if len(members) == 1:
        return f"{members[0]} shares its prompt with no other data set"
    pairs = [cosines[one][other] for one in members for other in members if one != other]
    agreement = sum(pairs) / len(pairs)
    return f"{', '.join(members)} share a prompt (mean cosine of their gradients {agreement:.2f})"


def _begin(
    folder: RunFolder,
    config: MultiTaskConfig,
    tasks: Sequence[Task],
    grouping: Grouping,
    reporter: Reporter,
) -> dict[str, Any]:
    """Build the record of all tasks, and write or compare it in the run folder."""
    records = {task.name: dict(task.run.record) for task in tasks}
    data = {name: record.pop("data") for name, record in records.items()}
    record = {"tasks": records, "data": data, "grouping": grouping}
    for note in folder.begin(config, record, None):
        reporter.say(f"{NOTE}{note}")
    if folder.path is not None and not folder.resumes:
        for task in tasks:
            own = folder.path / task.name
            own.mkdir(exist_ok=True)
            (own / DESCRIPTION).unlink(missing_ok=True)
            if task.run.data.selection is not None:
                task.run.data.save_selection(own / SELECTION)
    return record
