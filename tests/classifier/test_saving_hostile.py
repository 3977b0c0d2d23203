"""Files that were damaged by chance or on purpose: one clear error each, and no memory taken."""

import json
import pickle
import random
import shutil
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossprompt.classifier.saving import load
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION, FROZEN, LARGEST, LEARNED
from crossprompt.methods import METHODS, build_hollow
from tests.artifacts.keep import FOLDER, kept_clip
from tests.backbone import NAMES
from tests.saved import rewrite

SMALL = 2**20
"""Bytes: more than any of these classifiers has."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small classifier to damage."""
    return Path(shutil.copytree(FOLDER / "adapter", tmp_path / "run"))


class Largest(TorchDispatchMode):
    """Remembers the most bytes that a tensor has taken."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else [found]:
            if isinstance(tensor, Tensor) and not tensor.is_meta:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return found


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails if a tensor took more than a small file asks for."""
    kept_clip()
    with Largest() as largest:
        yield
    assert largest.bytes < SMALL


def refusal(folder: Path) -> str:
    with little_memory(), pytest.raises(RequestError) as caught:
        load(folder, kept_clip())
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert folder.name in message
    return message


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a safetensors file says it holds, and leave the numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    said = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(said)) + said + content[8 + length :])


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
@pytest.mark.parametrize(
    "lie",
    [
        {"shape": [10**9, 10**6]},
        {"shape": [2**63, 2**63]},
        {"shape": [-1, 4]},
        {"shape": [2**62, 4, 0], "data_offsets": [0, 0]},
        {"shape": ["4"]},
        {"shape": 4},
        {"dtype": "F16"},
        {"dtype": "I32"},
        {"dtype": "U32"},
        {"dtype": "F8_E4M3"},
        {"dtype": "U64"},
        {"dtype": "pickle"},
        {"data_offsets": [0, 10**12]},
        {"data_offsets": [10**12, 2 * 10**12]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [-8, 8]},
    ],
    ids=str,
)
def test_a_header_that_lies_is_told(folder: Path, name: str, lie: dict[str, Any]) -> None:
    forge(
        folder / name, lambda header: header["down" if name == FROZEN else min(header)].update(lie)
    )
    assert name in refusal(folder)


@pytest.mark.parametrize("length", [0, 2, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_impossible_length_is_told(folder: Path, length: int) -> None:
    content = (folder / FROZEN).read_bytes()
    (folder / FROZEN).write_bytes(struct.pack("<Q", length) + content[8:])
    assert f"{FROZEN} cannot be read" in refusal(folder)


def test_a_thousand_more_tensors_are_told(folder: Path) -> None:
    more = {
        f"x{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        for number in range(1000)
    }
    forge(folder / FROZEN, lambda header: header.update(more))
    assert "unexpected x0, x1, x10 and 997 more" in refusal(folder)


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("name", [FROZEN, LEARNED, DESCRIPTION])
@pytest.mark.parametrize(
    "content", [pickle.dumps(Harm()), b"", b"PK\x03\x04" + bytes(64), b"\x08\x08onnx" + bytes(64)]
)
def test_a_file_of_another_kind_is_told_and_never_unpickled(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    assert name in refusal(folder)


def test_what_torch_saves_is_told_and_never_unpickled(folder: Path) -> None:
    torch.save({"down": Harm()}, folder / FROZEN)
    assert f"{FROZEN} cannot be read" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pets.onnx", "crossprompt.load_onnx opens"),
        ("pets.pt2", "torch.export.load opens"),
        ("model.safetensors", "one file of a classifier"),
        ("pets.pkl", "found a file;"),
    ],
)
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Harm()))
    assert told in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"format": 1', '"format": true', "format"),
        ('"format": 1', '"format": 1.0', "format"),
        ('"format": 1', '"format": "1"', "format '1'"),
        ('"format": 1', '"format": 2', "format 2"),
        ('"test accuracy": 0.5', '"test accuracy": NaN', "classifier.json"),
        ('"test accuracy": 0.5', '"test accuracy": -Infinity', "classifier.json"),
        ('"inference": "calibrated"', '"inference": 3', "inference"),
        ('"inference": "calibrated"', '"data": []', "data"),
        ('"inference": "calibrated"', '"training": 1', "training"),
        ('"inference": "calibrated"', '"learned_from": {}', "learned_from"),
        ('"name": "kept"', '"name": "\\ud800"', "classifier.json"),
        ('"cat"', '"\\udfff"', "classifier.json"),
        ('"cat"', "[" * 100_000, "classifier.json"),
        ('"cat"', "[" * 300 + "]" * 300, "class_names[1]"),
        ('"cat"', "1" * 5000, "classifier.json"),
        ('"cat"', "null", "class_names[1]"),
        ('"cat"', '"cat", "cow"', "class_weights is"),
    ],
)
def test_a_description_that_cannot_be_is_told(folder: Path, old: str, new: str, told: str) -> None:
    text = (folder / DESCRIPTION).read_text("utf-8")
    assert old in text
    (folder / DESCRIPTION).write_text(text.replace(old, new, 1), "utf-8")
    assert told in refusal(folder)


def test_a_description_of_any_size_takes_no_memory(folder: Path) -> None:
    with (folder / DESCRIPTION).open("r+b") as file:
        file.truncate(LARGEST + 1)
    tracemalloc.start()
    try:
        told = refusal(folder)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()
    assert f"{LARGEST + 1} bytes" in told


@pytest.mark.parametrize(("name", "step"), [(FROZEN, 61), (LEARNED, 61), (DESCRIPTION, 7)])
def test_a_file_that_was_cut_anywhere_is_told(folder: Path, name: str, step: int) -> None:
    content = (folder / name).read_bytes()
    whole = len(content.rstrip())  # of the last line's end nothing depends
    for size in range(0, whole, step):
        (folder / name).write_bytes(content[:size])
        with pytest.raises(RequestError, match=rf"run\W{name}"):
            load(folder, kept_clip())


@pytest.mark.parametrize("name", [FROZEN, LEARNED, DESCRIPTION])
def test_a_flipped_bit_is_told_or_changes_no_structure(folder: Path, name: str) -> None:
    content, flips = (folder / name).read_bytes(), random.Random(5)
    told = 0
    with little_memory():
        for _ in range(40):
            # the header, where damage is not only a number, as often as all the rest
            place = flips.randrange(flips.choice([min(600, len(content)), len(content)]))
            damaged = bytearray(content)
            damaged[place] ^= 1 << flips.randrange(8)
            (folder / name).write_bytes(damaged)
            try:
                classifier = load(folder, kept_clip())
            except RequestError:
                told += 1
            else:
                assert name == DESCRIPTION
                assert len(classifier.class_names) == len(NAMES)
                assert classifier.frozen.state_dict().keys() == {
                    "class_weights",
                    "scale",
                    "down",
                    "up",
                    "ratio",
                }
    assert told == 40 or (name == DESCRIPTION and told > 10)


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        (name, setting.name)
        for name, method in METHODS.items()
        for setting in method.Config.describe()
        if type(setting.default) in (int, float)
    ],
)
def test_a_setting_of_any_size_takes_no_memory(method: str, setting: str) -> None:
    for value in (10**7, 10**12):
        with little_memory():
            try:
                hollow = build_hollow(method, kept_clip(), NAMES, {setting: value})
            except RequestError:
                continue
            assert all(x.is_meta for x in hollow.state_dict().values())


def test_a_classifier_with_a_huge_prompt_is_told(folder: Path) -> None:
    rewrite(folder, lambda x: x.update(method={"name": "vpt", "config": {"length": 10**9}}))
    assert f"{LEARNED} does not fit its description: missing image_prompts.0" in refusal(folder)
