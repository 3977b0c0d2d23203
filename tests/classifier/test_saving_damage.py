import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from crossprompt.classifier.saving import DESCRIPTION, FROZEN, LEARNED, load
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from tests.backbone import EVEN, even_clip, write_items
from tests.clip.random_clip import make_clip
from tests.saved import classify, retensor, rewrite


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def saved(clip: CLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("saved")
    items = write_items(folder / "images", [0, 1, 2, 3])
    return classify(clip, items).save(folder / "run")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def refusal(folder: Path, clip: CLIP) -> str:
    """The one line that a user sees."""
    with pytest.raises(RequestError) as caught:
        load(folder, clip)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


@pytest.mark.parametrize("missing", [FROZEN, LEARNED, DESCRIPTION])
def test_a_missing_file_is_named(folder: Path, clip: CLIP, missing: str) -> None:
    (folder / missing).unlink()
    assert missing in refusal(folder, clip)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, clip: CLIP) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere", clip)
    (tmp_path / "file").write_text("x")
    assert "no saved classifier" in refusal(tmp_path / "file", clip)


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
@pytest.mark.parametrize("size", [0, 4, 200, -1])
def test_a_truncated_file_is_named(folder: Path, clip: CLIP, name: str, size: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:size])
    assert f"{name} cannot be read" in refusal(folder, clip)


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
def test_a_folder_in_a_files_place_is_named(folder: Path, clip: CLIP, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert f"{name} cannot be read" in refusal(folder, clip)


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
def test_a_changed_value_is_noticed(folder: Path, clip: CLIP, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-5] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name} is damaged or of another classifier" in refusal(folder, clip)


def test_a_file_of_another_classifier_is_noticed(folder: Path, clip: CLIP, tmp_path: Path) -> None:
    items = write_items(tmp_path / "images", [0, 1, 2, 3])
    classify(clip, items, seed=2).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / LEARNED, folder / LEARNED)
    assert f"{LEARNED} is damaged or of another classifier" in refusal(folder, clip)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (FROZEN, lambda x: x.pop("bias"), "missing bias"),
        (FROZEN, lambda x: x.pop("image_prompt_1"), "damaged or of another classifier"),
        (FROZEN, lambda x: x.update(more=torch.zeros(1)), "unexpected more"),
        (FROZEN, lambda x: x.update(bias=torch.zeros(9)), "bias is torch.float32 of shape (9,)"),
        (LEARNED, lambda x: x.pop("text_prompt"), "missing text_prompt"),
        (LEARNED, lambda x: x.update(more=torch.zeros(1)), "unexpected more"),
        (LEARNED, lambda x: x.update(text_prompt=torch.zeros(5, 64)), "text_prompt is"),
        (LEARNED, lambda x: x.update(text_prompt=torch.zeros(4, 64).int()), "is torch.int32"),
    ],
)
def test_a_wrong_tensor_is_named(
    folder: Path,
    clip: CLIP,
    name: str,
    change: Callable[[dict[str, Tensor]], None],
    message: str,
) -> None:
    retensor(folder, name, change)
    found = refusal(folder, clip)
    assert name in found
    assert message in found


SPOILED = 6
"""Tensors of a file, at most: DCP has many of a kind."""


def spoil(tensors: dict[str, Tensor], key: str, how: str) -> None:
    tensor = tensors.pop(key)
    match how:
        case "wider":
            tensors[key] = torch.zeros(*tensor.shape, 2)
        case "longer" if tensor.ndim:
            tensors[key] = torch.cat([tensor, tensor])
        case "huge":
            tensors[key] = torch.zeros(10**12, 0)
        case "whole numbers":
            tensors[key] = tensor.int()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["missing", "wider", "longer", "huge", "whole numbers"])
def test_any_spoiled_tensor_of_any_method_is_named(
    method: str, how: str, clip: CLIP, tmp_path: Path
) -> None:
    items = write_items(tmp_path / "images", [0, 1, 2, 3])
    folder = classify(clip, items, method).save(tmp_path / "run")
    for name in (FROZEN, LEARNED):
        content = (folder / name).read_bytes()
        for key in [*load_file(folder / name)][:SPOILED]:
            retensor(folder, name, lambda tensors, key=key: spoil(tensors, key, how))
            assert name in refusal(folder, clip)
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("value", [None, 5, [], {}])
def test_a_backbone_without_a_name_is_an_error(folder: Path, clip: CLIP, value: Any) -> None:
    rewrite(folder, lambda x: x["backbone"].update(name=value))
    assert "backbone.name" in refusal(folder, clip)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_description_that_is_no_json_object_is_named(
    folder: Path, clip: CLIP, content: bytes
) -> None:
    (folder / DESCRIPTION).write_bytes(content)
    found = refusal(folder, clip)
    assert f"{DESCRIPTION} is damaged" in found
    assert len(found) < 600


def test_a_newer_format_is_named(folder: Path, clip: CLIP) -> None:
    rewrite(folder, lambda x: x.update(format=2))
    assert "format 2" in refusal(folder, clip)


@pytest.mark.parametrize(
    "path",
    [
        ("form",),
        ("method",),
        ("method", "name"),
        ("method", "config"),
        ("backbone",),
        ("backbone", "weights"),
        ("class_names",),
        ("files",),
        ("files", FROZEN),
        ("files", LEARNED),
    ],
    ids=".".join,
)
@pytest.mark.parametrize(
    "value",
    [None, 5, [[]], {"a": {}}, "nonsense", "\n" * 99],
    ids=["none", "number", "list", "object", "word", "lines"],
)
def test_a_hostile_description_is_named(
    folder: Path, clip: CLIP, path: tuple[str, ...], value: Any
) -> None:
    def change(description: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            description = description[key]
        if value is None:
            del description[last]
        else:
            description[last] = value

    rewrite(folder, change)
    assert len(refusal(folder, clip)) < 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": "16"}, "dcp: length is '16', expected "),
        ({"length": 10**12}, "needs 1000000000005 tokens"),
        ({"length": -1}, "dcp: length is -1"),
        ({"depth": 0}, "dcp: depth is 0"),
        ({"variant": "__class__"}, "dcp: variant is '__class__'"),
        ({"share": False}, "does not fit its description: missing cmpa.1."),
        ({"length": 3}, "expected torch.float32 of shape (3, 64)"),
        ({"lenght": 4}, "dcp has no setting 'lenght'"),
        ({"seed": 4}, "dcp has no setting 'seed'"),
        ({"clip": 4}, "dcp has no setting 'clip'"),
    ],
)
def test_a_hostile_setting_is_named(
    folder: Path, clip: CLIP, change: dict[str, Any], message: str
) -> None:
    rewrite(folder, lambda x: x["method"]["config"].update(change))
    assert message in refusal(folder, clip)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "class names are []"),
        (["cat", "cat"], "stands for 2 classes"),
        (["cat", 5, "dogs", "tabby"], "class_names[1]"),
        (["cat", "dogs"], "class_weights is"),
        (["cat", "dogs", "tabby", ""], "class name '', expected a text"),
        (["cat", "dogs", "tabby", "<|endoftext|>"], "cannot be tokenized"),
        (["cat", "dogs", "tabby", "red " * 99], "but the text tower holds 77"),
    ],
)
def test_hostile_class_names_are_named(
    folder: Path, clip: CLIP, names: list[Any], message: str
) -> None:
    rewrite(folder, lambda x: x.update(class_names=names))
    assert message in refusal(folder, clip)


def test_a_backbone_with_other_weights_is_refused(folder: Path) -> None:
    other = make_clip(EVEN, seed=3)
    other.weights_hash = "other"
    found = refusal(folder, other)
    assert "made with the backbone 'random' of weights 'none', found 'random' of 'other'" in found
