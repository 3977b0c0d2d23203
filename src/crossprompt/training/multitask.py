"""The whole job of several data sets: a run folder, and in it a classifier of each."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.evaluate import Result
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Item
from crossprompt.data.held_out import describe_data
from crossprompt.data.loader import to_device
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.methods import build_method
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import images_of
from crossprompt.methods.mmap import MmAP, Source
from crossprompt.training.batches import BatchSampler
from crossprompt.training.checkpoint import Checkpoint
from crossprompt.training.config import FitConfig, TrainConfig
from crossprompt.training.fit import (
    check_data,
    describe_result,
    describe_settings,
    measure,
    note_metrics,
)
from crossprompt.training.optimizer import build_optimizer
from crossprompt.training.run_folder import SELECTION, RunFolder, open_run, read_run
from crossprompt.training.train import Loop, Steps, count_shots
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.progress import NOTE, EpochReport, Reporter, Silent, StepReport
from crossprompt.utils.shapes import Scalar

Cosines = Float[Tensor, "tasks tasks"]
"""Of every task's gradient with every other's."""
Groups = list[list[int]]
"""Every task once, in the order of the tasks."""

EXHAUSTIVE = 8
"""Tasks, at most, whose every division is tried: 4140 for 8 of them."""


def mean_cosines(steps: Sequence[Sequence[Tensor]]) -> Cosines:
    """The cosines of the tasks' gradients, on average over steps.

    Args:
        steps: for every step one gradient a task, all of one shape.
    """
    cosines = []
    for gradients in steps:
        directions = normalize(torch.stack([x.flatten() for x in gradients]), dim=1)
        cosines.append(directions @ directions.T)
    return torch.stack(cosines).mean(0)


def choose_groups(cosines: Cosines) -> Groups:
    """The division of the tasks with the greatest affinity; of equals the first.

    All divisions are compared for up to 8 tasks; for more those that agglomerative clustering
    (average linkage of 1 - cosine) passes through.

    Args:
        cosines: symmetric.
    """
    tasks = cosines.shape[0]
    divisions = divide(tasks) if tasks <= EXHAUSTIVE else cluster(cosines)
    return max(divisions, key=lambda groups: affinity(groups, cosines))


def affinity(groups: Groups, cosines: Cosines) -> float:
    """How much better tasks agree with their groups than with others, on average over tasks.

    Of every task the mean cosine with the others of its group (0 if it is alone), less that with
    the group which comes nearest (0 if there is no other): the silhouette of Rousseeuw, 1987, on
    cosines. The mean within the groups alone would always be greatest for the closest pairs.

    Args:
        groups: a division of the tasks.
        cosines: of all tasks.
    """
    rows = cosines.tolist()
    total = 0.0
    for number, group in enumerate(groups):
        others = groups[:number] + groups[number + 1 :]
        for task in group:
            own = _mean([rows[task][other] for other in group if other != task])
            nearest = max((_mean([rows[task][x] for x in other]) for other in others), default=0.0)
            total += own - nearest
    return total / len(rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def divide(tasks: int) -> Iterator[Groups]:
    """Every division of so many tasks into groups, each once."""
    if tasks == 0:
        yield []
        return
    last = tasks - 1
    for groups in divide(last):
        for number, group in enumerate(groups):
            yield [*groups[:number], [*group, last], *groups[number + 1 :]]
        yield [*groups, [last]]


def cluster(cosines: Cosines) -> Iterator[Groups]:
    """One division for every number of groups, from one group for all to one for each."""
    from sklearn.cluster import AgglomerativeClustering

    tasks = cosines.shape[0]
    distances = (1 - cosines).double().cpu().numpy()
    for groups in range(1, tasks + 1):
        found = AgglomerativeClustering(groups, metric="precomputed", linkage="average")
        labels = found.fit_predict(distances).tolist()
        yield [
            [task for task in range(tasks) if labels[task] == label]
            for label in dict.fromkeys(labels)
        ]


Batch = tuple[Tensor, Tensor]
"""Images ``[batch, 3, side, side]`` and labels ``[batch]``."""


@dataclass(frozen=True)
class Task:
    """Training images with the method that learns from them."""

    name: str
    """What its run is called."""
    method: MmAP
    """With a prompt of its own and one of its group."""
    recipe: Recipe
    """By which it is trained."""
    plan: BatchSampler
    """Of its batches."""

    @classmethod
    def of(
        cls,
        name: str,
        method: Method,
        items: Sequence[Item],
        clip: CLIP,
        config: TrainConfig,
    ) -> "Task":
        """BatchSampler the batches that the method's recipe asks for.

        Args:
            name: what its run is called.
            method: ``MmAP``, the one that learns several tasks together.
            items: labelled training images, at least one.
            clip: the frozen backbone.
            config: what is changed of the recipe, and the seed.
        """
        assert isinstance(method, MmAP)
        recipe, seed = config.recipe_of(MmAP, count_shots(items)), config.seed
        read = images_of(items, clip, seed, recipe.smallest_crop if recipe.augment else None)
        plan = BatchSampler([item.label for item in items], recipe.batch_size, seed, read)
        return cls(name, method, recipe, plan)

    def loss(self, clip: CLIP, batch: Batch) -> Scalar:
        """Of a batch."""
        images, labels = (to_device(x, clip.device) for x in batch)
        return self.method.loss(clip, images, labels)


def steps_of(tasks: Sequence[Task]) -> int:
    """Steps of an epoch: as many as the largest task has batches."""
    return max(task.plan.steps for task in tasks)


def batches_of(tasks: Sequence[Task], epoch: int) -> Iterator[tuple[Batch, ...]]:
    """A batch of every task in turn, for every step of an epoch; small tasks begin anew.

    Args:
        tasks: in turn.
        epoch: counted from 1.
    """
    steps = steps_of(tasks)

    def batches(plan: BatchSampler) -> Iterator[Batch]:
        rounds = math.ceil(steps / plan.steps)
        for number in range((epoch - 1) * rounds + 1, epoch * rounds + 1):
            yield from plan.epoch(number)

    return islice(zip(*(batches(task.plan) for task in tasks), strict=False), steps)


class Learned(nn.Module):
    """All that several tasks learn, each tensor once.

    Args:
        tasks: whose methods are made to share the prompts of their groups.
        groups: positions of tasks.
    """

    def __init__(self, tasks: Sequence[Task], groups: Groups) -> None:
        super().__init__()
        shared = [tasks[group[0]].method.group for group in groups]
        for group, source in zip(groups, shared, strict=True):
            for position in group:
                tasks[position].method.group = source
        self.tasks = nn.ModuleList(task.method.task for task in tasks)
        self.groups = nn.ModuleList(source for source in shared if source is not None)


def train_tasks(
    tasks: Sequence[Task],
    groups: Groups,
    clip: CLIP,
    recipe: Recipe,
    settings: dict[str, Any],
    *,
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[EpochReport]:
    """Train the tasks' methods in place; the backbone stays as it is.

    Args:
        tasks: in turn.
        groups: positions of tasks that share a prompt.
        clip: the frozen backbone.
        recipe: of all; its batch size is every task's.
        settings: plain values that the result depends on.
        folder: where ``log.jsonl`` and the state after each epoch are kept.
        resume: go on from the state in ``folder``, to the result that an uninterrupted run has.
        on_step: called after every step.

    Returns:
        One report per epoch, those before an interruption included.

    Raises:
        RequestError: the state is of another training.
        JobError: the loss is not finite; the state of the last good epoch is kept.
    """
    learned = Learned(tasks, groups)
    optimizer = build_optimizer(learned, recipe)
    state = Checkpoint(folder, learned, optimizer, settings)
    methods = [task.method for task in tasks]
    return Loop(_steps(tasks, clip), methods, clip, recipe, state, on_step).run(resume)


def _steps(tasks: Sequence[Task], clip: CLIP) -> Steps[Sequence[Batch]]:
    def step(batches: Sequence[Batch]) -> float:
        """One task after the other, so that the states of one are held at a time."""
        total = 0.0
        for task, batch in zip(tasks, batches, strict=True):
            loss = task.loss(clip, batch) / len(tasks)
            loss.backward()
            total += loss.item()
        return total

    images, seed = sum(task.plan.batch_size for task in tasks), tasks[0].plan.seed
    return Steps(lambda epoch: batches_of(tasks, epoch), step, steps_of(tasks), images, seed)


WARM_UP, MEASURED = 20, 20
"""Steps that the shared prompt learns, and steps after that in which gradients are compared."""


def compare_tasks(
    tasks: Sequence[Task],
    clip: CLIP,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Cosines:
    """Compare tasks by the gradients of a prompt that all share, after a short warm-up.

    Args:
        tasks: whose own prompts are left alone.
        clip: the frozen backbone.
        recipe: whose optimizer warms up, at the highest learning rate.
        seed: of the shared prompt.
        progress: called with (steps done, steps in all).
    """
    sharing = [replace(task, method=_without_group(task.method, clip, seed)) for task in tasks]
    first = sharing[0].method
    for task in sharing:
        task.method.task = first.task
    optimizer = build_optimizer(first, recipe)
    steps = (step for epoch in count(1) for step in batches_of(sharing, epoch))
    compared = []
    for number, batches in enumerate(islice(steps, WARM_UP + MEASURED)):
        gradients = [
            _gradient(task, clip, batch) for task, batch in zip(sharing, batches, strict=True)
        ]
        if number < WARM_UP:
            _leave(torch.stack(gradients).mean(0), first.task)
            optimizer.step()
        else:
            compared.append(gradients)
        if progress is not None:
            progress(number + 1, WARM_UP + MEASURED)
    return mean_cosines(compared)


def _without_group(method: MmAP, clip: CLIP, seed: int) -> MmAP:
    options = {**method.config.to_json(), "group_length": 0}
    built = build_method(method.name, clip, method.class_names, seed=seed, **options)
    assert isinstance(built, MmAP)
    return built


def _gradient(task: Task, clip: CLIP, batch: Batch) -> Tensor:
    """Of a task's loss by the shared prompt, flat."""
    gradients = torch.autograd.grad(task.loss(clip, batch), list(task.method.task.parameters()))
    return torch.cat([x.flatten() for x in gradients])


def _leave(gradient: Tensor, shared: Source) -> None:
    """Put a flat gradient where the optimizer looks for it."""
    parameters = list(shared.parameters())
    parts = gradient.split([x.numel() for x in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


@dataclass(frozen=True)
class MultiTaskConfig:
    """One job for each data set; they differ in nothing but the data.

    Args:
        jobs: at least two.
    """

    jobs: tuple[FitConfig, ...]

    def check(self) -> "MultiTaskConfig":
        """Find what is wrong with the words alone, before any work.

        Returns:
            The same job with the length of the groups' prompts set.

        Raises:
            RequestError: the method learns from one data set only, two are called the same, or a
                setting is impossible or would be ignored.
        """
        first, data = self.jobs[0], ", ".join(job.data for job in self.jobs)
        require(
            first.method == MmAP.name,
            f"{first.method} learns from one data set, found {len(self.jobs)}: {data}; give one, "
            f"or --method {MmAP.name}, which learns several together",
        )
        for name, times in Counter(self.names).items():
            require(times == 1, f"{times} data sets are called {name!r}; rename all but one")
        config = MmAP.Config.of(first.options, first.method)
        options = {"group_length": config.length, **first.options}
        require(
            options["group_length"] >= 1,
            "mmap: group_length is 0, expected 1 or more with several data sets, which would share "
            "nothing",
        )
        require(
            first.train_config().memory_limit is None,
            "memory_limit would be ignored with several data sets; leave it out",
        )
        require(
            first.class_names is None,
            "class_names is of one data set, found several; leave out --class-names",
        )
        jobs = tuple(replace(job, options=options) for job in self.jobs)
        for job in jobs:
            job.check()
            if replace(job, data="", root=None) != replace(jobs[0], data="", root=None):
                raise RequestError("the jobs of several data sets differ in more than the data")
        return MultiTaskConfig(jobs)

    @property
    def names(self) -> list[str]:
        """Of the tasks: what a run of each alone would be called, without the method."""
        return [job.default_output().name.removesuffix(f"-{job.method}") for job in self.jobs]

    def default_output(self) -> Path:
        """``runs/DATA+DATA-METHOD``."""
        return Path("runs") / f"{'+'.join(self.names)}-{self.jobs[0].method}"


Grouping = dict[str, Any]
"""``groups``: lists of tasks; ``cosines``: of every task with every other."""
Fitted = dict[str, tuple[Classifier, dict[str, Result]]]


@dataclass(frozen=True)
class _Part:
    """What is known of a task before it is trained."""

    task: Task
    job: FitConfig
    few: Dataset
    settings: dict[str, Any]
    about_data: dict[str, Any]


def fit_tasks(
    job: MultiTaskConfig,
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


def _prepare(job: MultiTaskConfig, clip: CLIP, reporter: Reporter) -> list[_Part]:
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
    job: FitConfig,
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
    job: MultiTaskConfig,
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
