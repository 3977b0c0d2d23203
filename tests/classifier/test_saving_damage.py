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
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossprompt.classifier.loading import load
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION, FROZEN, LARGEST, LEARNED
from crossprompt.methods import build_hollow
from tests.artifacts.keep import FOLDER, KEPT, kept_clip
from tests.backbone import EVEN, NAMES
from tests.clip.random_clip import make_clip
from tests.saved import retensor, rewrite

SMALL = 2**20
"""Bytes: more than any of these classifiers has."""
FILES = (FROZEN, LEARNED, DESCRIPTION)


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
    """Fails if a tensor took more than a small file needs."""
    kept_clip()
    with Largest() as largest:
        yield
    assert largest.bytes < SMALL


def refusal(folder: Path, named: str, value: str = "") -> None:
    """Loading fails in one line that names the file, and the offending value or key."""
    with little_memory(), pytest.raises(RequestError) as caught:
        load(folder, kept_clip())
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert folder.name in message
    assert named in message
    assert value in message


def damaged(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of a safetensors file, and leave the values."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refusal(folder, name)


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
def test_a_folder_in_a_files_place_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    refusal(folder, name)


@pytest.mark.parametrize("name", ["nowhere", "pets.onnx", "pets.pkl"])
def test_what_is_no_folder_is_named(tmp_path: Path, name: str) -> None:
    if name != "nowhere":
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
    refusal(tmp_path / name, name)


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_in_a_files_place_is_named_and_never_unpickled(folder: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(Harm()))
    refusal(folder, name)
    if name != DESCRIPTION:
        torch.save({"down": Harm()}, folder / name)
        refusal(folder, name)


@pytest.mark.parametrize(("name", "step"), [(FROZEN, 199), (LEARNED, 199), (DESCRIPTION, 7)])
def test_a_file_that_was_cut_anywhere_is_named(folder: Path, name: str, step: int) -> None:
    content = (folder / name).read_bytes()
    for size in range(0, len(content.rstrip()), step):
        (folder / name).write_bytes(content[:size])
        with pytest.raises(RequestError, match=rf"run\W{name}"):
            load(folder, kept_clip())


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_an_error_or_changes_no_structure(folder: Path, name: str) -> None:
    content, flips = (folder / name).read_bytes(), random.Random(5)
    keys = set(load_file(folder / FROZEN))
    errors = 0
    with little_memory():
        for _ in range(40):
            # the header, where damage is not only a number, as often as all the rest
            place = flips.randrange(flips.choice([min(600, len(content)), len(content)]))
            changed = bytearray(content)
            changed[place] ^= 1 << flips.randrange(8)
            (folder / name).write_bytes(changed)
            try:
                classifier = load(folder, kept_clip())
            except RequestError:
                errors += 1
            else:
                assert name == DESCRIPTION
                assert len(classifier.class_names) == len(NAMES)
                assert set(classifier.frozen.state_dict()) == keys
    assert errors == 40 or (name == DESCRIPTION and errors > 10)


@pytest.mark.parametrize("name", [FROZEN, LEARNED])
def test_a_changed_value_is_noticed_by_the_hash(folder: Path, name: str) -> None:
    damaged(folder / name, lambda content: content.__setitem__(-5, content[-5] ^ 1))
    refusal(folder, name, "SHA-256")


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


@pytest.mark.parametrize("form", KEPT)
def test_a_spoiled_tensor_of_any_form_is_an_error(form: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER / form, tmp_path / "run"))
    for name in (FROZEN, LEARNED):
        content = (folder / name).read_bytes()
        for key in [*load_file(folder / name)][:2]:
            for how in ("missing", "wider", "longer", "huge", "whole numbers"):
                retensor(folder, name, lambda tensors, key=key, how=how: spoil(tensors, key, how))
                refusal(folder, name)
                (folder / name).write_bytes(content)


def test_unexpected_tensors_are_named(folder: Path) -> None:
    more = {
        f"x{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        for number in range(1000)
    }
    forge(folder / FROZEN, lambda header: header.update(more))
    refusal(folder, FROZEN, "x0, x1, x10")


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": [10**9, 10**6]},
        {"shape": [2**63, 2**63]},
        {"shape": [-1, 4]},
        {"shape": [2**62, 4, 0], "data_offsets": [0, 0]},
        {"shape": ["4"]},
        {"dtype": "F16"},
        {"dtype": "F8_E4M3"},
        {"dtype": "pickle"},
        {"data_offsets": [0, 10**12]},
        {"data_offsets": [-8, 8]},
    ],
    ids=str,
)
def test_a_header_that_lies_is_an_error(folder: Path, lie: dict[str, Any]) -> None:
    forge(folder / FROZEN, lambda header: header["down"].update(lie))
    refusal(folder, FROZEN)


@pytest.mark.parametrize("length", [2, 2**64 - 1])
def test_a_header_of_impossible_length_is_an_error(folder: Path, length: int) -> None:
    damaged(folder / FROZEN, lambda x: x.__setitem__(slice(0, 8), struct.pack("<Q", length)))
    refusal(folder, FROZEN)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[]", b"{}", b"[" * 100_000], ids=lambda x: str(x[:4])
)
def test_a_description_that_is_no_json_object_is_named(folder: Path, content: bytes) -> None:
    (folder / DESCRIPTION).write_bytes(content)
    refusal(folder, DESCRIPTION)


@pytest.mark.parametrize(
    "path",
    [
        ("format",),
        ("form",),
        ("method",),
        ("method", "name"),
        ("method", "config"),
        ("backbone", "name"),
        ("backbone", "weights"),
        ("class_names",),
        ("files",),
        ("files", FROZEN),
    ],
    ids=".".join,
)
def test_an_entry_that_is_missing_or_of_another_type_is_named(
    folder: Path, path: tuple[str, ...]
) -> None:
    whole = (folder / DESCRIPTION).read_text("utf-8")
    for value in (None, True, {"a": [[]]}, "\n" * 99):
        description = entry = json.loads(whole)
        *parents, last = path
        for key in parents:
            entry = entry[key]
        if value is None:
            del entry[last]
        else:
            entry[last] = value
        if isinstance(value, str) and path == ("backbone", "name"):
            continue  # any text is a name
        (folder / DESCRIPTION).write_text(json.dumps(description), "utf-8")
        refusal(folder, "")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ('"format": 1', '"format": 2', "2"),
        ('"test accuracy": 0.5', '"test accuracy": NaN', ""),
        ('"inference": "calibrated"', '"inference": 3', "inference"),
        ('"inference": "calibrated"', '"learned_from": {}', "learned_from"),
        ('"name": "kept"', '"name": "\\ud800"', ""),
        ('"cat"', "[" * 100_000, ""),
        ('"cat"', "1" * 5000, ""),
        ('"cat"', "null", "class_names"),
    ],
)
def test_a_description_that_cannot_be_is_named(
    folder: Path, old: str, new: str, value: str
) -> None:
    text = (folder / DESCRIPTION).read_text("utf-8")
    assert old in text
    (folder / DESCRIPTION).write_text(text.replace(old, new, 1), "utf-8")
    refusal(folder, DESCRIPTION, value)


def test_a_description_of_any_size_takes_no_memory(folder: Path) -> None:
    with (folder / DESCRIPTION).open("r+b") as file:
        file.truncate(LARGEST + 1)
    tracemalloc.start()
    try:
        refusal(folder, DESCRIPTION, str(LARGEST))
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("method", "config", "value"),
    [
        ("clip_adapter", {"ratio": "a"}, "'a'"),
        ("clip_adapter", {"lenght": 4}, "'lenght'"),
        ("clip_adapter", {"seed": 4}, "'seed'"),
        ("dcp", {"length": -1}, "-1"),
        ("dcp", {"length": 10**12}, "1000000000005"),
        ("dcp", {"variant": "__class__"}, "'__class__'"),
        ("vpt", {"length": 10**9}, "image_prompts.0"),
        ("cop", {}, "'cop'"),
    ],
)
def test_a_hostile_setting_is_named(
    folder: Path, method: str, config: dict[str, Any], value: str
) -> None:
    rewrite(folder, lambda x: x.update(method={"name": method, "config": config}))
    refusal(folder, "run", value)


@pytest.mark.parametrize("method", ["dcp", "vpt", "cocoop"])
def test_a_setting_of_any_size_takes_no_memory(method: str) -> None:
    with little_memory():
        try:
            hollow = build_hollow(method, kept_clip(), NAMES, {"length": 10**7})
        except RequestError:
            return
        assert all(x.is_meta for x in hollow.state_dict().values())


@pytest.mark.parametrize(
    ("names", "value"),
    [
        ([], "[]"),
        (["cat", "cat"], "'cat'"),
        (["cat", 5, "dogs", "tabby"], "class_names"),
        (["cat", "dogs"], "class_weights"),
        (["cat", "dogs", "tabby", ""], "''"),
        (["cat", "dogs", "tabby", "<|endoftext|>"], "<|endoftext|>"),
    ],
)
def test_hostile_class_names_are_named(folder: Path, names: list[Any], value: str) -> None:
    rewrite(folder, lambda x: x.update(class_names=names))
    refusal(folder, "run", value)


def test_a_backbone_with_other_weights_is_refused(folder: Path) -> None:
    other = make_clip(EVEN, seed=3)
    other.weights_hash = "other"
    with pytest.raises(RequestError, match="'other'"):
        load(folder, other)
