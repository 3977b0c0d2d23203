"""A whole job, in a run folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from crossprompt import load, load_dataset
from crossprompt.data.files import list_images
from crossprompt.data.held_out import describe_data, hash_all
from crossprompt.errors import RequestError
from crossprompt.methods.coop import CoOp
from crossprompt.training.checkpoint import LOG, STATE, recipe_to_json, refer_to
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import ONE_EPOCH, RUN, SELECTION, fit, read_run
from crossprompt.utils import distributed
from crossprompt.utils.progress import Silent, StepReport

STEPS = 4
"""Of ``job``: two epochs of six images, three in a batch."""


@pytest.fixture
def job(photos: Path, backbone: str) -> FitConfig:
    return FitConfig(
        data=str(photos),
        method="coop",
        backbone=backbone,
        shots=2,
        options={"length": 2},
        training={"epochs": 2, "batch_size": 3},
    )


class Listener(Silent):
    """Collects reports, and interrupts a training."""

    def __init__(self, interrupt_at: int = 0) -> None:
        self.interrupt_at = interrupt_at
        self.said, self.steps = list[str](), list[int]()
        self.totals = dict[str, int]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def count(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.totals.update({what: total})

    def step(self, report: StepReport) -> None:
        self.steps.append(report.step)
        if report.step == self.interrupt_at:
            raise KeyboardInterrupt


def content(run: Path) -> dict[str, bytes]:
    """Files that must be the same to the bit."""
    names = ("classifier.safetensors", "method.safetensors", SELECTION)
    return {name: (run / name).read_bytes() for name in names}


def test_a_job_leaves_a_classifier_and_all_that_is_known_of_it(job, photos, tmp_path) -> None:
    classifier, results = fit(job, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"classifier.json", "classifier.safetensors", RUN, SELECTION, LOG, STATE}
    assert results.keys() == {"test"}
    assert results["test"].n == 9
    data = load_dataset(photos)
    about = load(tmp_path).information
    expected = describe_data(data, data.few_shot(2))
    assert about["data"] == {**expected["data"], "shots": 2}
    assert about["data"]["training_images"] == 6
    assert about["learned_from"] == expected["learned_from"]
    assert len(set(about["learned_from"])) == 6 + 3
    assert about["metrics"]["test accuracy"] == results["test"].accuracy
    assert (about["training"]["epochs"], about["training"]["lr"]) == (2, 0.002)
    assert about["training"]["final_loss"] > 0
    assert load(tmp_path).predict(data.test.paths) == classifier.predict(data.test.paths)


def test_run_json_holds_all_that_is_needed_to_repeat_the_run(job, tmp_path) -> None:
    fit(replace(job, seed=7), tmp_path / "first")
    run = json.loads((tmp_path / "first" / RUN).read_text())
    fit(FitConfig(**run["job"]), tmp_path / "second")
    assert content(tmp_path / "second") == content(tmp_path / "first")
    assert run["settings"]["training"]["momentum"] == 0.9
    assert {"torch", "crossprompt", "python"} <= run["versions"].keys()
    assert run["working_directory"] == str(Path.cwd())


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_an_interrupted_job_resumes_to_the_same_bits(job, tmp_path, step) -> None:
    fit(job, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(job, tmp_path / "run", reporter=Listener(step))
    listener = Listener()
    fit(job, tmp_path / "run", resume=True, reporter=listener)
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert listener.steps[0] == (1 if step <= 2 else 3)
    fit(job, tmp_path / "run", resume=True)  # of a finished run: nothing changes
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_job_without_steps_resumes_too(job, tmp_path) -> None:
    probe = replace(job, method="linear_probe", options={}, training={})
    fit(probe, tmp_path)
    expected = content(tmp_path)
    fit(probe, tmp_path, resume=True)
    assert content(tmp_path) == expected
    assert not (tmp_path / LOG).exists()


def test_resuming_with_other_settings_lists_them_and_changes_nothing(job, tmp_path) -> None:
    fit(job, tmp_path)
    expected = content(tmp_path)
    other = replace(job, seed=3, options={"length": 3}, training={"epochs": 5, "batch_size": 3})
    with pytest.raises(RequestError) as caught:
        fit(other, tmp_path, resume=True)
    for told in ("config.length 2, now 3", "seed 1, now 3", "training.epochs 2, now 5"):
        assert told in str(caught.value)
    assert "batch_size" not in str(caught.value)
    assert content(tmp_path) == expected


def test_the_record_stands_in_run_json_alone_and_its_hash_in_the_checkpoint(job, tmp_path) -> None:
    fit(job, tmp_path)
    with safe_open(tmp_path / STATE, framework="pt") as file:
        reference = json.loads(file.metadata()["settings"])
    assert reference == refer_to(read_run(tmp_path).settings)


def test_a_checkpoint_of_another_run_is_not_resumed(job, tmp_path) -> None:
    fit(job, tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        fit(replace(job, seed=2), tmp_path / "two", reporter=Listener(3))
    shutil.copy(tmp_path / "one" / STATE, tmp_path / "two" / STATE)
    with pytest.raises(RequestError, match=f"{STATE}.*--overwrite"):
        fit(replace(job, seed=2), tmp_path / "two", resume=True)


def test_images_changed_under_the_same_name_are_not_resumed(job, tmp_path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(job.data, photos)
    mine = replace(job, data=str(photos))
    with pytest.raises(KeyboardInterrupt):
        fit(mine, tmp_path / "run", reporter=Listener(3))
    first, second = load_dataset(photos).few_shot(2, seed=1).train.paths[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(RequestError, match="contents"):
        fit(mine, tmp_path / "run", resume=True)


def test_a_wrong_backbone_is_told_before_any_image_is_read(job) -> None:
    listener = Listener()
    with pytest.raises(RequestError, match="no checkpoint"):
        fit(replace(job, backbone="nowhere.pt"), reporter=listener)
    assert not listener.totals


def test_the_same_data_by_another_path_is_no_other_setting(job, tmp_path, monkeypatch) -> None:
    fit(job, tmp_path)
    dtype = json.loads((tmp_path / RUN).read_text())["settings"]["dtype"]
    monkeypatch.chdir(Path(job.data).parent)
    named = {"bfloat16": "bf16", "float32": "fp32"}[dtype]  # what this machine has chosen
    fit(replace(job, data="./photos/", device="cpu", dtype=named), tmp_path, resume=True)


def test_a_run_is_not_replaced_unless_told(job, tmp_path) -> None:
    fit(job, tmp_path)
    with pytest.raises(RequestError, match=r"--resume.*--overwrite"):
        fit(job, tmp_path)
    with pytest.raises(KeyboardInterrupt):  # what was there must not be taken for the new run
        fit(replace(job, seed=2), tmp_path, overwrite=True, reporter=Listener(1))
    assert {path.name for path in tmp_path.iterdir()} & {"classifier.json", STATE, LOG} == set()
    fit(replace(job, seed=2), tmp_path, overwrite=True)
    assert json.loads((tmp_path / RUN).read_text())["job"]["seed"] == 2


def test_resuming_what_has_not_begun_begins_and_says_so(job, tmp_path) -> None:
    listener = Listener()
    fit(job, tmp_path / "new", resume=True, reporter=listener)
    assert len(listener.steps) == STEPS
    assert "holds no run yet" in listener.said[0]


def test_without_a_folder_nothing_is_written(job, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit(job)
    assert list(tmp_path.iterdir()) == []


def test_every_note_is_told_once(job) -> None:
    listener = Listener()
    fit(replace(job, shots=7), reporter=listener)
    assert len(listener.said) == 3 + 1  # one for each class, which has 6, and one of the images
    assert listener.said[0] == (
        "note: class 'cat' has 6 training images, fewer than 7 shots: all 6 are used"
    )
    assert listener.said[3] == "photos: 3 classes; images: 18 train, 3 val, 9 test"


def test_who_asks_for_the_warm_up_alone_is_told(job) -> None:
    for epochs, told in ((1, True), (2, False)):
        listener = Listener()
        fit(replace(job, training={**job.training, "epochs": epochs}), reporter=listener)
        assert (f"note: {ONE_EPOCH}" in listener.said) is told


def test_who_resumes_what_is_finished_is_told(job, tmp_path) -> None:
    note = f"note: the run in {tmp_path / 'run'} is finished; it is only measured again"
    for resume in (False, True):
        listener = Listener()
        fit(job, tmp_path / "run", resume=resume, reporter=listener)
        assert (note in listener.said) is resume


def test_only_the_images_that_are_needed_are_read(job, tmp_path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(job.data, photos)
    few = load_dataset(photos).few_shot(2, seed=1)
    used = {*few.train.paths, *few.val.paths, *few.test.paths}
    unused = next(path for path in list_images(photos) if path not in used)
    unused.write_bytes(b"no image")
    listener, mine = Listener(), replace(job, data=str(photos))
    fit(mine, reporter=listener)
    assert listener.totals["Checking images"] == len(used) == 6 + 3 + 9
    few.test.paths[0].write_bytes(b"no image either")
    with pytest.raises(RequestError, match="1 of 18"):
        fit(mine)
    listener = Listener()
    _, results = fit(replace(mine, skip_bad_images=True), reporter=listener)
    assert results["test"].n == 8
    assert sum(few.test.paths[0].name in text for text in listener.said) == 1


def test_a_batch_that_processes_cannot_share_begins_no_run(job, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(RequestError, match=r"3 images .* 2 processes"):
        fit(job, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_is_shared_of_the_images_that_can_be_read(job, tmp_path, monkeypatch) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(job.data, photos)
    load_dataset(photos).few_shot(2, seed=1).train.paths[0].write_bytes(b"no image")
    mine = replace(job, data=str(photos), training={"batch_size": 6}, skip_bad_images=True)
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    listener = Listener()
    with pytest.raises(RequestError, match=r"5 images .* 2 processes"):
        fit(mine, tmp_path / "run", reporter=listener)
    assert listener.totals["Checking images"] == 6 + 3 + 9
    assert not (tmp_path / "run").exists()


def test_what_the_bits_depend_on_is_in_run_json(job, tmp_path) -> None:
    fit(job, tmp_path)
    settings = json.loads((tmp_path / RUN).read_text())["settings"]
    data = load_dataset(job.data)
    few = data.few_shot(2)
    recipe = job.train_config().recipe_for(CoOp, few.train)
    assert settings["training"] == recipe_to_json(recipe, job.seed)
    assert (settings["training"]["epochs"], settings["training"]["batch_size"]) == (2, 3)
    clip = job.load_backbone()
    assert (settings["weights"], settings["device"]) == (clip.weights_hash, clip.device.type)
    assert settings["dtype"] == str(clip.dtype).removeprefix("torch.")
    assert settings["processes"] == 1
    assert settings["data"] == {
        "fingerprint": data.fingerprint,
        "used": few.fingerprint,
        "content": hash_all(describe_data(data, few)["learned_from"]),
    }


def test_who_asked_accelerate_for_several_processes_on_a_cpu_is_told(job, monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    listener = Listener()
    fit(job, reporter=listener)
    assert "accelerate launch" in listener.said[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": "cop"}, "no method 'cop'; did you mean 'coop'"),
        ({"options": {"lenght": 3}}, "did you mean 'length'"),
        ({"options": {"length": 0}}, "length is 0"),
        ({"training": {"epochs": 0}}, "epochs is 0"),
        ({"method": "zero_shot", "options": {}}, "epochs, batch_size would be ignored"),
    ],
)
def test_a_wrong_word_is_told_before_any_work(job, change, told) -> None:
    with pytest.raises(RequestError, match=told):
        fit(replace(job, data="nowhere", **change))
