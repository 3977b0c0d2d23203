"""One DCP classifier and its exports, for all tests of what is in them."""

from pathlib import Path
from typing import Any

import onnx_ir
import pytest

from crossprompt.classifier import export
from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.export import export_classifier
from crossprompt.classifier.export import onnx as onnx_model
from crossprompt.data.dataset import Item
from tests.backbone import write_items
from tests.classifier.export.exporting import narrow_clip
from tests.saved import classify


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return write_items(tmp_path_factory.mktemp("images"), [0, 1, 2, 3])


@pytest.fixture(scope="session")
def classifier(items: list[Item]) -> Classifier:
    found = classify(narrow_clip(), items)
    about = {
        "metrics": {"accuracy": 0.5},
        "data": {"name": "photos"},
        "learned_from": ["a hash"],
    }
    return freeze(found.method, narrow_clip(), items, information=about)


@pytest.fixture(scope="session")
def converted(classifier: Classifier) -> tuple[Any, Any]:
    """The program and its ONNX graph, which do not depend on how weights are stored."""
    program = export.trace(classifier)
    return program, onnx_ir.to_proto(onnx_model.convert(program))


def convert_nothing(patch: pytest.MonkeyPatch, converted: tuple[Any, Any]) -> None:
    program, graph = converted
    patch.setattr(export, "trace", lambda _: program)
    patch.setattr(onnx_model, "convert", lambda _: onnx_ir.from_proto(graph))


@pytest.fixture
def once(converted: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is traced again."""
    convert_nothing(monkeypatch, converted)


@pytest.fixture(scope="session")
def exported(
    classifier: Classifier,
    items: list[Item],
    converted: tuple[Any, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A file for every way to store weights, and the torch program; not to be changed."""
    folder: Path = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        convert_nothing(patch, converted)
        for weights in ("fp32", "fp16", "int8"):
            path = folder / f"{weights}.onnx"
            export_classifier(classifier, path, weights=weights, pictures=items)
        export_classifier(classifier, folder / "program.pt2", form="torch")
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["fp16.onnx", "fp32.onnx", "int8.onnx", "program.pt2"]
    return {path.stem: path for path in folder.iterdir()}
