"""From the words of a job to data, backbone and method."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossprompt import Dataset
from crossprompt.data.dataset import Item, Split
from crossprompt.errors import RequestError
from crossprompt.training.config import FitConfig
from tests.backbone import NAMES, even_clip


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (FitConfig("photos"), "photos-dcp"),
        (FitConfig("a/b/photos.v2/", method="coop"), "photos.v2-coop"),
        (FitConfig("lists/birds.csv"), "birds-dcp"),
        (FitConfig("emoji"), "emoji-dcp"),
        (FitConfig("folder", root="a/cars"), "cars-dcp"),
        (FitConfig("dtd", root="data"), "dtd-dcp"),
        (FitConfig("pacs:sketch", root="data"), "pacs-sketch-dcp"),
    ],
)
def test_a_run_is_called_after_its_data_and_method(job, expected) -> None:
    assert job.default_output() == Path("runs") / expected


def test_the_folder_one_is_in_has_a_name_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "birds").mkdir()
    monkeypatch.chdir(tmp_path / "birds")
    assert FitConfig(".").default_output() == Path("runs") / "birds-dcp"


def test_a_template_is_the_datas_unless_the_user_sets_it() -> None:
    data = Dataset("x", NAMES, Split((Item(Path("a"), 0),)), template="a drawing of a {}.")
    job = FitConfig("x", method="zero_shot")
    assert job.build_method(even_clip(), data).config.template == ("a drawing of a {}.",)
    told = replace(job, options={"template": ("one {}",)})
    assert told.build_method(even_clip(), data).config.template == ("one {}",)
    assert job.options == {}


def test_start_values_follow_the_jobs_seed() -> None:
    data = Dataset("x", NAMES, Split((Item(Path("a"), 0),)))
    prompts = [
        FitConfig("x", method="coop", seed=seed).build_method(even_clip(), data).state_dict()
        for seed in (1, 1, 2)
    ]
    assert torch.equal(prompts[0]["text_prompt"], prompts[1]["text_prompt"])
    assert not torch.equal(prompts[0]["text_prompt"], prompts[2]["text_prompt"])


def test_the_training_has_the_jobs_seed() -> None:
    assert FitConfig("x", seed=5, training={"epochs": 2}).train_config().seed == 5


def test_the_backbone_is_loaded_in_the_dtype_asked_for(backbone) -> None:
    assert FitConfig("x", backbone=backbone, dtype="bf16").load_backbone().dtype == torch.bfloat16
    assert FitConfig("x", backbone=backbone, device="cpu").load_backbone().device.type == "cpu"
    with pytest.raises(RequestError, match="int8"):
        FitConfig("x", backbone=backbone, dtype="int8").load_backbone()


def test_class_names_come_from_the_file(photos, tmp_path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cat: tabby\n")
    data = FitConfig(str(photos), class_names=str(names)).load_data()
    assert data.class_names == ("tabby", "hot air balloon", "yorkshire terrier")
