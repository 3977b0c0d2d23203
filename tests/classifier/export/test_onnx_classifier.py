"""An exported classifier, opened without torch: predictions, and refused files."""

import json
import sys
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from crossprompt.classifier.classifier import Classifier
from crossprompt.data.dataset import Item
from crossprompt.data.images import read_image
from crossprompt.errors import JobError, RequestError
from crossprompt.inference.metadata import KEY
from crossprompt.inference.onnx import OnnxClassifier, load_onnx

pytestmark = pytest.mark.slow


def test_it_predicts_as_the_classifier_does(
    classifier: Classifier, items: list[Item], exported: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    paths = [items[2].path, bad, items[0].path, items[0].path]
    expected = classifier.predict(paths, top_k=3)
    for size in (1, 64):
        found = load_onnx(exported["fp32"]).predict(iter(paths), top_k=3, batch_size=size)
        assert [x.path for x in found] == [str(path) for path in paths]
        for one, other in zip(found, expected, strict=True):
            assert (one.label, one.error) == (other.label, other.error)
            assert [name for name, _ in one.top] == [name for name, _ in other.top]
            np.testing.assert_allclose(
                [share for _, share in one.top], [share for _, share in other.top], atol=1e-5
            )
            assert one.error or (one.label, one.probability) == one.top[0]


def test_all_classes_are_listed_where_more_are_asked_for(
    items: list[Item], exported: dict[str, Path]
) -> None:
    found = load_onnx(exported["fp32"])
    (answer,) = found.predict([items[0].path], top_k=99)
    assert {name for name, _ in answer.top} == set(found.class_names)
    assert sum(share for _, share in answer.top) == pytest.approx(1, abs=1e-5)


def test_pixels_are_those_of_the_classifier_to_the_bit(
    classifier: Classifier, items: list[Item], exported: dict[str, Path]
) -> None:
    found, image = load_onnx(exported["fp32"]), read_image(items[0].path)
    assert np.array_equal(found.prepare(image), classifier.clip.preprocess(image).numpy())
    assert found.enough == classifier.clip.preprocess.enough


def test_an_impossible_request_is_refused(exported: dict[str, Path], items: list[Item]) -> None:
    found = load_onnx(exported["fp32"])
    with pytest.raises(RequestError, match="list of images"):
        unwrap(OnnxClassifier.predict_stream)(found, items[0].path)
    with pytest.raises(RequestError, match="top_k is 0"):
        found.predict([], top_k=0)
    assert found.predict([]) == []


Change = Callable[[dict[str, Any]], Any]


def set_to(*keys: str, value: Any) -> Change:
    def change(description: dict[str, Any]) -> None:
        for key in keys[:-1]:
            description = description[key]
        description[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_to("format", value=2), "format 2"),
        (lambda about: about.pop("format"), "format"),
        (set_to("class_names", value="cat"), "class_names"),
        (set_to("format", value=True), "format"),
        (set_to("class_names", value=["a", "b"]), "expected .batch, 3, 32, 32. and .batch, 2."),
        (set_to("class_names", value=["cat"]), "class names are .*cat"),
        (set_to("class_names", value=["cat", "cat"]), "'cat'"),
        (set_to("class_names", value=["cat", 5]), r"class_names\[1\]"),
        (set_to("class_names", value=["cat", "\ud800"]), "metadata"),
        (set_to("method", value="dcp"), "method"),
        (set_to("method", "config", value=[]), "method.config"),
        (lambda about: about.pop("backbone"), "backbone"),
        (lambda about: about.pop("weights"), "weights"),
        (set_to("metrics", value=5), "metrics"),
        (set_to("metrics", "accuracy", value=float("nan")), "metadata"),
        (set_to("learned_from", value=5), "learned_from"),
        (set_to("preprocess", value=None), "preprocess"),
        (set_to("preprocess", "side", value=16), "expected .batch, 3, 16, 16."),
        (set_to("preprocess", "side", value=True), "preprocess.side"),
        (set_to("preprocess", "resize", value=0), "side of 32 pixels from .* of 0"),
        (set_to("preprocess", "resize", value=10**6), "1000000"),
        (set_to("preprocess", "std", value=[1, 0, 1]), "1.0, 0.0, 1.0"),
        (set_to("preprocess", "mean", value=["inf", 0, 0]), "preprocess.mean"),
        (set_to("preprocess", "mean", value=[1]), "preprocess.mean"),
        (set_to("preprocess", "interpolation", value="odd"), "preprocess.interpolation|odd"),
    ],
)
def test_a_description_that_does_not_fit_is_an_error_that_names_it(
    exported: dict[str, Path], tmp_path: Path, change: Change, told: str
) -> None:
    model, path = onnx.load(exported["fp32"]), tmp_path / "changed.onnx"
    (entry,) = (x for x in model.metadata_props if x.key == KEY)
    description = json.loads(entry.value)
    change(description)
    entry.value = json.dumps(description)
    onnx.save(model, path)
    with pytest.raises(RequestError, match=told) as error:
        load_onnx(path)
    assert str(path) in str(error.value)


def test_a_graph_that_asks_for_more_memory_than_there_is_is_told(
    exported: dict[str, Path], tmp_path: Path, items: list[Item], capfd: Any
) -> None:
    model, path = onnx.load(exported["fp32"]), tmp_path / "huge.onnx"
    (answer,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["earlier" if name == answer.name else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array([10**13]), "size"))
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["size"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("Add", ["earlier", "sum"], [answer.name]),
        ]
    )
    onnx.save(model, path)
    with pytest.raises(JobError, match=r"huge\.onnx .*--batch-size"):
        load_onnx(path).predict([items[0].path])
    assert capfd.readouterr().err == ""  # ONNX Runtime does not speak to the user


def test_a_file_does_not_take_its_weights_from_elsewhere(
    exported: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(exported["fp32"])
    weight = next(x for x in model.graph.initializer if len(x.dims) == 2)
    size = len(weight.raw_data)
    (tmp_path / "secret").write_bytes(bytes(size))
    (tmp_path / "inside").mkdir()
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for place in ("../secret", str(tmp_path / "secret")):
        del weight.external_data[:]
        for key, value in (("location", place), ("length", str(size))):
            weight.external_data.add(key=key, value=value)
        path = tmp_path / "inside" / "outside.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(RequestError, match=r"outside\.onnx"):
            load_onnx(path)


def test_a_model_of_another_program_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    model, path = onnx.load(exported["fp32"]), tmp_path / "foreign.onnx"
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(RequestError, match="crossprompt export"):
        load_onnx(path)


@pytest.mark.parametrize("part", [0, 7, 0.5, 0.999])
def test_a_damaged_file_is_refused(exported: dict[str, Path], tmp_path: Path, part: float) -> None:
    whole, path = exported["fp32"].read_bytes(), tmp_path / "damaged.onnx"
    path.write_bytes(whole[: int(part if part > 1 else part * len(whole))])
    with pytest.raises(RequestError, match=r"damaged\.onnx"):
        load_onnx(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.onnx"):
        load_onnx(tmp_path / "nowhere.onnx")


def test_a_device_that_is_not_there_is_refused(exported: dict[str, Path]) -> None:
    for device in ("cuda", "npu"):
        with pytest.raises(RequestError, match=f"'{device}' .* auto or cpu"):
            load_onnx(exported["fp32"], device)


def test_a_missing_runtime_is_told(exported: dict[str, Path], monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RequestError, match=r"crossprompt\[onnx\]"):
        load_onnx(exported["fp32"])
