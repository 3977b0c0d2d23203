"""Exports: content of the files, refusals, and nothing left behind where one does not agree."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from crossprompt.classifier import export
from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.export import (
    Agreement,
    compare,
    export_classifier,
    measure_speed,
    open_exported,
    require_agreement,
    trace,
)
from crossprompt.classifier.export import onnx as onnx_model
from crossprompt.classifier.export.onnx import LEAST
from crossprompt.data.dataset import Item
from crossprompt.errors import JobError, RequestError
from crossprompt.inference.metadata import EXTRA, KEY
from crossprompt.inference.onnx import load_onnx
from tests.backbone import NAMES, random_images, with_blocks
from tests.classifier.export.exporting import narrow_clip
from tests.clip.random_clip import make_clip
from tests.saved import classify

pytestmark = pytest.mark.slow


def test_a_torch_program_agrees_in_any_batch_and_leaves_the_text_tower_out(
    classifier: Classifier, exported: dict[str, Path]
) -> None:
    files = {EXTRA: ""}
    with exported["program"].open("rb") as file:
        program = torch.export.load(file, extra_files=files)
    images = random_images(7)
    expected = classifier.logits(images).softmax(-1)
    for size in (1, 3, 7):
        found = torch.cat([program.module()(x) for x in images.split(size)])
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert not any("clip.text" in key for key in program.state_dict)
    assert json.loads(files[EXTRA])["class_names"] == list(NAMES)


@pytest.mark.parametrize("weights", ["fp16", "int8"])
def test_small_weights_take_less_room_and_still_score_an_image_alike_in_any_batch(
    classifier: Classifier, exported: dict[str, Path], weights: str
) -> None:
    small, whole = (exported[name].stat().st_size for name in (weights, "fp32"))
    assert small < 0.7 * whole
    found, images = load_onnx(exported[weights]), random_images(7)
    together = found.probabilities(images.numpy())
    alone = [found.probabilities(image[None].numpy()) for image in images]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)
    crowd = torch.cat([images, 9 * random_images(3, seed=6)])
    np.testing.assert_allclose(found.probabilities(crowd.numpy())[:7], together, atol=1e-6)
    difference = np.abs(together - classifier.logits(images).softmax(-1).numpy()).max()
    assert 0 < difference < 0.05


@pytest.mark.parametrize(
    ("weights", "kind"), [("fp32", "FLOAT"), ("fp16", "FLOAT16"), ("int8", "INT8")]
)
def test_every_large_matrix_is_stored_as_asked(
    exported: dict[str, Path], weights: str, kind: str
) -> None:
    stored = onnx.load(exported[weights]).graph.initializer
    large = [x for x in stored if len(x.dims) == 2 and np.prod(x.dims) >= LEAST]
    assert len(large) == 8  # four of each block
    assert {onnx.TensorProto.DataType.Name(x.data_type) for x in large} == {kind}


def test_nothing_is_computed_in_eight_bits(exported: dict[str, Path]) -> None:
    nodes = onnx.load(exported["int8"]).graph.node
    assert not {node.op_type for node in nodes if "Linear" in node.op_type or "Int" in node.op_type}
    read = load_onnx(exported["int8"])
    rows = random_images(64).numpy()
    alone = np.concatenate([read.probabilities(row[None]) for row in rows])
    np.testing.assert_allclose(alone, read.probabilities(rows), atol=1e-6)


def test_the_model_is_of_wide_support_and_says_nothing_of_this_machine(
    exported: dict[str, Path],
) -> None:
    model = onnx.load(exported["fp32"])
    onnx.checker.check_model(model, full_check=True)
    assert [(x.domain, x.version) for x in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 3, 32, 32], ["batch", len(NAMES)]]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [
        "images",
        "probabilities",
    ]
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    assert b".py" not in exported["fp32"].read_bytes()
    assert not any("text" in x.name for x in model.graph.initializer)


def test_the_metadata_say_what_it_is_and_how_it_was_evaluated(
    classifier: Classifier, exported: dict[str, Path]
) -> None:
    found = {x.key: x.value for x in onnx.load(exported["int8"]).metadata_props}
    about = json.loads(found[KEY])
    assert about["format"] == 1
    assert about["class_names"] == list(NAMES)
    assert about["method"] == {"name": "dcp", "config": classifier.method.config.to_json()}
    assert about["backbone"]["weights"] == narrow_clip().weights_hash
    assert about["weights"] == "int8"
    assert about["inference"] == "calibrated"
    assert about["metrics"] == {"accuracy": 0.5}
    assert "learned_from" not in about
    preprocess = narrow_clip().preprocess
    assert about["preprocess"] == {
        "side": preprocess.side,
        "resize": preprocess.resize,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "interpolation": "bicubic",
    }


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_what_does_not_agree_is_not_written(
    classifier: Classifier, once: None, tmp_path: Path, monkeypatch: Any, form: Any
) -> None:
    path = tmp_path / f"model{export.ENDINGS[form]}"
    path.write_text("an earlier one")

    def wrong(*arguments: Any) -> Any:
        score = open_exported(*arguments)
        return lambda images: score(images) + 2e-4

    monkeypatch.setattr(export, "open_exported", wrong)
    with pytest.raises(JobError, match=r"0\.0002.* 0\.0001 .*fp32"):
        export_classifier(classifier, path, form=form)
    assert path.read_text() == "an earlier one"
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_are_compared_too(
    classifier: Classifier, items: list[Item], once: None, tmp_path: Path
) -> None:
    found = export_classifier(classifier, tmp_path / "a.pt2", form="torch", pictures=items)
    assert found.pictures is not None
    assert (found.pictures.images, found.pictures.same) == (4, 1.0)
    assert (found.noise.images, found.noise.same) == (11, 1.0)


def test_nan_is_no_agreement_and_the_largest_difference_counts() -> None:
    def plus(value: float) -> Any:
        return lambda images: images.flatten(1)[:, :2] + value * (images[:, :1, 0, 0] > 0)

    batches = [torch.ones(2, 1, 1, 2), -torch.ones(1, 1, 1, 2)]
    assert compare(plus(0), plus(0.25), batches) == Agreement(3, 0.25, 1.0)
    with pytest.raises(JobError, match="nan"):
        require_agreement(compare(plus(0), plus(float("nan")), batches), "int8", "images")


def test_a_different_class_is_counted() -> None:
    one, other = (
        lambda images: images[:, 0, 0],
        lambda images: images[:, 0, 0].flip(-1) * (images[:, :1, 0, 0] > 0),
    )
    images = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[:, None, None]
    assert compare(one, other, [images]).same == 0.0
    assert compare(one, one, [images]).same == 1.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"form": "torch", "weights": "int8"}, "--weights int8"),
        ({"path": "."}, "is a folder"),
    ],
)
def test_an_impossible_export_is_refused(
    classifier: Classifier, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = tmp_path / change.pop("path", "a.pt2")
    with pytest.raises(RequestError, match=told):
        export_classifier(classifier, path, **change)
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_that_answers_by_its_neighbors_is_refused(
    classifier: Classifier, items: list[Item], tmp_path: Path
) -> None:
    clip = narrow_clip()
    for inference in ("batch", "per-image"):
        other = freeze(classifier.method, clip, items, inference=inference)
        with pytest.raises(RequestError, match=f"'{inference}'"):
            export_classifier(other, tmp_path / "a.onnx")


def test_a_classifier_in_few_digits_is_refused(items: list[Item], tmp_path: Path) -> None:
    other = classify(make_clip(with_blocks(2)).bfloat16(), items, "zero_shot")
    with pytest.raises(RequestError, match=r"torch\.bfloat16"):
        export_classifier(other, tmp_path / "a.onnx")


def test_a_form_that_cannot_be_traced_says_so(
    classifier: Classifier, tmp_path: Path, monkeypatch: Any
) -> None:
    def by_size(clip: Any, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[: int(images.sum())]

    monkeypatch.setattr(classifier.frozen, "forward", by_size)
    monkeypatch.setattr(export, "trace", trace)
    with pytest.raises(JobError, match="dcp"):
        export_classifier(classifier, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_more_than_one_file_are_refused_with_advice(
    classifier: Classifier, once: None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(onnx_model, "LARGEST", 1000)
    with pytest.raises(RequestError, match=r"--weights fp16"):
        export_classifier(classifier, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_told_before_any_work(
    classifier: Classifier, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    told = r"onnx.*crossprompt\[export\]"
    with pytest.raises(RequestError, match=told):
        export_classifier(classifier, tmp_path / "a.onnx")


def test_loggers_are_left_as_they_were(exported: dict[str, Path]) -> None:
    assert logging.getLogger("torch.onnx").level == logging.NOTSET
    assert logging.root.manager.disable == logging.NOTSET


def test_speed_is_images_by_the_second() -> None:
    calls = []
    assert measure_speed(lambda images: calls.append(images.shape[0]) or images, 2, 0.0) > 0
    assert calls == [8] * 4
