"""Several data sets in one run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from crossprompt import load
from crossprompt.cli import main
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.errors import JobError, RequestError
from crossprompt.methods import build_method
from crossprompt.methods.mmap import MmAP
from crossprompt.training import tasks as tasks_module
from crossprompt.training.batches import Batch, BatchSampler
from crossprompt.training.checkpoint import LOG
from crossprompt.training.config import FitConfig, Run, TrainConfig
from crossprompt.training.fit import RUN, SELECTION
from crossprompt.training.multitask import MultiTaskConfig, fit_tasks
from crossprompt.training.tasks import (
    SharedPrompts,
    Task,
    TaskSampler,
    compare_tasks,
    train_tasks,
)
from crossprompt.utils import distributed
from crossprompt.utils.progress import Silent, StepReport
from tests.backbone import even_clip, write_items
from tests.conftest import write_photos

CLASSES = {"pets": ("cat", "dogs"), "sky": ("balloon", "hot_air", "red"), "toys": ("cat", "red")}


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module", autouse=True)
def short_comparison() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks_module, "WARM_UP", 2)
        patch.setattr(tasks_module, "MEASURED", 2)
        yield


@pytest.fixture(scope="module")
def job(backbone: str, tmp_path_factory: pytest.TempPathFactory) -> MultiTaskConfig:
    folder = tmp_path_factory.mktemp("several")
    for name, classes in CLASSES.items():
        write_photos(folder / name, classes, images=5)
    options, training = {"length": 2, "depth": 2}, {"epochs": 2, "batch_size": 2}
    one = FitConfig("", "mmap", backbone, 2, options=options, training=training)
    return MultiTaskConfig(tuple(replace(one, data=str(folder / name)) for name in CLASSES))


@pytest.fixture(scope="module")
def run(job: MultiTaskConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("run") / "run"
    fit_tasks(job, folder)
    return folder


def tasks_of(
    clip: CLIP,
    tmp_path: Path,
    sizes: Sequence[int] = (2, 4),
    changes: dict[str, Any] | None = None,
    **options: Any,
) -> list[Task]:
    """Tasks of two classes each, with so many images of each class, and changes of the recipe."""
    tasks = []
    for number, size in enumerate(sizes):
        items: list[Item] = write_items(tmp_path / str(number), [0] * size + [1] * size)
        settings = {"length": 2, "group_length": 1, **options}
        method = build_method("mmap", clip, ("cat", f"dogs {number}"), **settings)
        config = TrainConfig(batch_size=2, augment=False, epochs=1)
        recipe = replace(config.recipe_for(MmAP, items), **(changes or {}))
        data = Dataset(str(number), method.class_names, Split(tuple(items)))
        run = Run(method, clip, data, config, recipe, {})
        tasks.append(Task.of(str(number), run))
    return tasks


def content(run: Path) -> dict[str, bytes]:
    names = ("classifier.safetensors", "method.safetensors", SELECTION)
    return {
        f"{task}/{name}": (run / task / name).read_bytes() for task in CLASSES for name in names
    }


def test_each_data_set_ends_in_a_classifier_of_its_own(job, run) -> None:
    described = json.loads((run / RUN).read_text())
    groups = described["settings"]["grouping"]["groups"]
    assert sorted(name for group in groups for name in group) == sorted(CLASSES)
    assert [one["data"] for one in described["job"]["jobs"]] == [one.data for one in job.jobs]
    for name, classes in CLASSES.items():
        classifier = load(run / name)
        assert classifier.class_names == tuple(x.replace("_", " ") for x in classes)
        about = classifier.information
        assert about["group"] == next(group for group in groups if name in group)
        assert 0 <= about["metrics"]["test accuracy"] <= 1
        assert len(about["learned_from"]) > 0
        assert classifier.method.config.group_length == 2
        assert classifier.predict([write_items(run.parent / "x", [0])[0].path])[0].error is None
    assert len((run / LOG).read_text().splitlines()) == 2


def test_the_tasks_of_a_group_share_its_prompt_and_nothing_else(run) -> None:
    groups = json.loads((run / RUN).read_text())["settings"]["grouping"]["groups"]
    owner = {name: number for number, group in enumerate(groups) for name in group}
    methods = {name: load(run / name).method for name in CLASSES}
    for one in CLASSES:
        for other in set(CLASSES) - {one}:
            a, b = methods[one], methods[other]
            shared = torch.equal(a.group.prompts, b.group.prompts)
            assert shared == (owner[one] == owner[other])
            assert not torch.equal(a.task.prompts, b.task.prompts)


class Interrupting(Silent):
    """Stops a training in the middle of its second epoch."""

    def __init__(self) -> None:
        self.steps = list[int]()

    def step(self, report: StepReport) -> None:
        self.steps.append(report.step)
        if report.step == report.steps - 1:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_bits(job, run, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_tasks(job, tmp_path / "run", reporter=Interrupting())
    assert not (tmp_path / "run" / "pets" / "classifier.json").exists()
    fit_tasks(job, tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == content(run)


@pytest.mark.slow
def test_a_run_is_resumed_with_the_groups_that_it_was_begun_with(
    job, run, monkeypatch, tmp_path
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("compared again")

    with pytest.raises(KeyboardInterrupt):
        fit_tasks(job, tmp_path / "run", reporter=Interrupting())
    monkeypatch.setattr("crossprompt.training.multitask.compare_tasks", fail)
    fit_tasks(job, tmp_path / "run", resume=True)
    other = MultiTaskConfig(tuple(replace(one, shots=1) for one in job.jobs))
    with pytest.raises(RequestError, match=r"tasks\.pets\.shots 2, now 1"):
        fit_tasks(other, tmp_path / "run", resume=True)


def test_a_step_takes_a_batch_of_every_task_and_small_ones_begin_anew(clip, tmp_path) -> None:
    tasks = tasks_of(clip, tmp_path, (1, 5))
    sampler = TaskSampler(tasks)
    steps = list(sampler.epoch(1))
    assert len(steps) == sampler.steps == 5
    assert sampler.batch_size == 4
    assert all(len(inputs) == len(labels) == 2 for inputs, labels in steps)
    whole = [set(labels[0].tolist()) for _, labels in steps]
    assert whole == [{0, 1}] * 5  # the two images of the small one, in every step
    large = torch.cat([inputs[1] for inputs, _ in steps])
    assert len(large.flatten(1).unique(dim=0)) == 10


def test_a_task_is_trained_by_its_methods_recipe_with_what_is_changed(clip, tmp_path) -> None:
    (task,) = tasks_of(clip, tmp_path, (3,))
    assert task.run.recipe == replace(MmAP.recipe(3), batch_size=2, augment=False, epochs=1)
    assert (task.sampler.batch_size, task.sampler.seed, task.sampler.steps) == (2, 1, 3)


def test_the_loss_is_the_mean_of_the_tasks_losses(clip, tmp_path) -> None:
    changes = {"first_lr": 0.5, "momentum": 0.0, "weight_decay": 0.0}
    tasks = tasks_of(clip, tmp_path, (2, 2), changes)
    learned = SharedPrompts(tasks, [["0", "1"]])
    assert tasks[0].method.group is tasks[1].method.group
    (batch, *_) = TaskSampler(tasks).epoch(1)
    batches = zip(*batch, strict=True)
    losses = [oracle(task, clip, own) for task, own in zip(tasks, batches, strict=True)]
    expected = torch.stack(losses).mean()
    gradients = torch.autograd.grad(expected, list(learned.parameters()))
    before = [x.detach().clone() for x in learned.parameters()]
    said: list[StepReport] = []

    def stop(report: StepReport) -> None:
        said.append(report)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tasks(tasks, [["0", "1"]], {}, on_step=stop)
    assert said[0].loss == pytest.approx(expected.item(), rel=1e-5)
    for x, was, gradient in zip(learned.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(x.detach(), was - 0.5 * gradient)


def oracle(task: Task, clip: CLIP, batch: Batch) -> Tensor:
    images, labels = batch
    return cross_entropy(task.method(clip, images), labels)


def test_tasks_are_compared_by_gradients_of_one_prompt(clip, tmp_path) -> None:
    """One task twice points the same way; with its labels exchanged it points elsewhere."""
    tasks = tasks_of(clip, tmp_path, (3, 3))
    (one, _) = tasks
    sampler = one.sampler
    labels = [1 - label for label in sampler.labels]
    turned = replace(one, sampler=BatchSampler(labels, 2, sampler.seed, sampler.read))
    before = {key: x.clone() for key, x in one.method.state_dict().items()}
    done: list[tuple[int, int]] = []
    found = compare_tasks([one, one, turned], lambda *x: done.append(x))
    assert found[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert found[0, 2] < 0.9
    assert done[-1] == (4, 4)
    assert all(torch.equal(x, before[key]) for key, x in one.method.state_dict().items())


def test_a_loss_that_is_not_finite_ends_the_training(clip, tmp_path) -> None:
    tasks = tasks_of(clip, tmp_path, (2,), {"epochs": 2, "first_lr": 1e38})
    with pytest.raises(JobError, match=r"nan.*epoch 1, step 2.*--lr"):
        train_tasks(tasks, [["0"]], {})


def test_the_last_good_epoch_is_kept_where_there_is_a_folder(clip, tmp_path) -> None:
    tasks = tasks_of(clip, tmp_path, (2,), {"epochs": 2, "lr": 1e38})
    with pytest.raises(JobError, match=r"epoch 2, step 2.*epoch 1.*--over"):
        train_tasks(tasks, [["0"]], {}, folder=tmp_path / "run")
    assert len((tmp_path / "run" / LOG).read_text().splitlines()) == 1


def test_tasks_train_in_training_mode_and_leave_the_global_generator_alone(clip, tmp_path) -> None:
    tasks, modes = tasks_of(clip, tmp_path), []

    def look(report: StepReport) -> None:
        modes.extend(task.method.task.training for task in tasks)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    for task in tasks:
        task.method.eval()
    train_tasks(tasks, [["0", "1"]], {}, on_step=look)
    assert modes
    assert all(modes)
    assert not any(task.method.task.training for task in tasks)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "coop"}, "coop .* found 3: .*mmap"),
        ({"options": {"group_length": 0}}, "group_length is 0"),
        ({"training": {"memory_limit": 3.0}}, "memory_limit"),
        ({"class_names": "names.txt"}, "class_names"),
        ({"data": "pets"}, "3 .*'pets'"),
        ({"options": {"lenght": 2}}, "mmap.*'lenght'"),
    ],
)
def test_what_several_data_sets_cannot_have_is_an_error(job, change, message) -> None:
    with pytest.raises(RequestError, match=message):
        MultiTaskConfig(tuple(replace(one, **change) for one in job.jobs)).check()


def test_several_processes_are_an_error(job, monkeypatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(RequestError, match="found 2"):
        fit_tasks(job)


def test_jobs_that_differ_in_more_than_the_data_are_an_error(job) -> None:
    first, *others = job.jobs
    with pytest.raises(RequestError, match="differ"):
        MultiTaskConfig((replace(first, seed=9), *others)).check()


@pytest.fixture
def words(job: MultiTaskConfig, backbone: str) -> Callable[..., list[str]]:
    def make(*more: str) -> list[str]:
        data = [one.data for one in job.jobs]
        settings = "--method mmap --length 2 --depth 2 --shots 2 --epochs 1 --batch-size 2"
        return ["fit", *data, "--backbone", backbone, *settings.split(), *more]

    return make


@pytest.mark.slow
def test_fit_takes_several_data_sets(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words()) == 0
    run = Path("runs") / "pets+sky+toys-mmap"
    found = capsys.readouterr()
    for name in CLASSES:
        assert f"Saved in {run / name}." in found.out
    assert "share" in found.err
    assert main(words("--json", "--overwrite")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tasks"].keys() == CLASSES.keys()
    assert answer["tasks"]["pets"]["test"]["n"] > 0
    assert main(words()) == 2
    assert str(run) in capsys.readouterr().err


def test_a_run_of_several_is_no_classifier_but_says_where_they_are(job, run, capsys) -> None:
    assert main(["evaluate", str(run), job.jobs[0].data]) == 2
    told = capsys.readouterr().err
    assert str(run / "pets") in told
