"""Errors about checkpoints that are damaged, or do not fit their config."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crossprompt.clip.load import load_clip, save_clip
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from tests.clip.openai_clip import OpenAICLIP, write_archive
from tests.clip.random_clip import SMALL, make_clip, make_tokenizer

State = dict[str, Tensor]
NORM = "text_model.final_layer_norm.bias"
PROJECTION = "visual_projection.weight"


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


@pytest.fixture
def folder(clip: CLIP, tmp_path: Path) -> Path:
    save_clip(clip, tmp_path)
    return tmp_path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    make_tokenizer().save(tmp_path / "tokenizer.json")
    path = tmp_path / "ViT.pt"
    write_archive(OpenAICLIP(SMALL), SMALL, str(path))
    return path


def change_config(folder: Path, **changes: Any) -> None:
    """``tower__key=value`` changes a key of a tower."""
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        tower, _, key = name.rpartition("__")
        (config[tower] if tower else config)[key] = value
    (folder / "config.json").write_text(json.dumps(config))


def drop(state: State) -> None:
    del state[NORM]


def add(state: State) -> None:
    state["text_model.prompt"] = torch.zeros(3)


def reshape(state: State) -> None:
    state[PROJECTION] = state[PROJECTION].T.contiguous()


def rename(state: State) -> None:
    state["vision_model.class"] = state.pop("vision_model.embeddings.class_embedding")


def drop_block(state: State) -> None:
    for key in [key for key in state if "text_model.encoder.layers.1." in key]:
        del state[key]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, rf"missing: {NORM};"),
        (add, r"unexpected: text_model\.prompt;"),
        (reshape, rf"wrong shape: {PROJECTION} \(128, 48\) instead of \(48, 128\);"),
        (rename, r"missing: vision.*class_embedding; unexpected: vision_model\.class;"),
        (drop_block, r"missing: (text_model\.encoder\.layers\.1\.\S+, ){4}\S+ and 11 more;"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_keys_that_do_not_fit_are_named(
    folder: Path, change: Callable[[State], None], message: str, name: str
) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    (folder / "model.safetensors").unlink()
    if name.endswith("bin"):
        torch.save(state, folder / name)
    else:
        save_file(state, folder / name)
    with pytest.raises(RequestError, match=rf"{name} .*{message}"):
        load_clip(folder)


def test_openai_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    make_tokenizer().save(tmp_path / "tokenizer.json")
    state = OpenAICLIP(SMALL).state_dict() | {"vocab_size": torch.tensor(560)}
    del state["ln_final.bias"]
    state["visual.proj"] = state["visual.proj"].T
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(RequestError, match=r"missing: ln_final\.bias; wrong shape: visual\.proj"):
        load_clip(tmp_path / "weights.pt")


def test_every_size_is_compared_before_memory_is_taken(folder: Path) -> None:
    change_config(folder, text_config__hidden_size=2**20, vision_config__intermediate_size=2**20)
    with pytest.raises(RequestError, match=r"wrong shape: .* and \d+ more;"):
        load_clip(folder)


def test_more_blocks_than_there_are_tensors_are_not_built(folder: Path) -> None:
    change_config(folder, vision_config__num_hidden_layers=10**6)
    with pytest.raises(RequestError, match=r"100000[0-9] blocks"):
        load_clip(folder)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["model.safetensors", "state.bin", "legacy.bin", "ViT.pt"])
def test_a_truncated_file_is_an_error_that_names_it(
    folder: Path, archive: Path, kind: str, keep: float
) -> None:
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "state.bin")
    torch.save(state, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    content = (folder / kind).read_bytes()
    (folder / kind).write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(RequestError, match=kind) as error:
        load_clip(folder / kind)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + bytes(100), b"version https://git-lfs.github.com/spec/v1\n", b"{}"],
)
def test_a_file_that_is_no_checkpoint_is_an_error_that_names_it(
    folder: Path, content: bytes
) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(RequestError, match=r"model\.safetensors"):
        load_clip(folder)


def test_an_archive_with_nothing_in_it_is_an_error_that_names_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ViT.pt", "w") as archive:
        archive.writestr("ViT/constants.pkl", b"")
    with pytest.raises(RequestError, match=r"ViT\.pt"):
        load_clip(tmp_path / "ViT.pt")


def test_no_code_in_a_file_is_ever_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"visual.proj": Attack()}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Attack()))
    torch.save(Attack(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("zip.pt", "plain.pt", "old.pt"):
        with pytest.raises(RequestError, match=name):
            load_clip(tmp_path / name)
    assert not (tmp_path / "attacked").exists()


def test_a_whole_pickled_model_is_an_error(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(RequestError, match=r"model\.pt"):
        load_clip(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 1}, torch.zeros(2)])
def test_a_file_without_a_state_dict_is_an_error(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(RequestError, match=r"weights\.pt.*state dict"):
        load_clip(tmp_path / "weights.pt")


@pytest.mark.parametrize("state", [{}, {"layer.weight": torch.zeros(2)}])
def test_another_models_weights_are_an_error_that_shows_what_was_found(
    folder: Path, state: State
) -> None:
    save_file(state, folder / "model.safetensors")
    found = "layer.weight" if state else "no tensors"
    with pytest.raises(RequestError, match=rf"holds no CLIP: found {found}"):
        load_clip(folder)


def test_a_resnet_by_openai_is_an_error_that_says_so(tmp_path: Path) -> None:
    torch.save({"visual.layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "RN50.pt")
    with pytest.raises(RequestError, match=r"RN50\.pt: .*ResNet"):
        load_clip(tmp_path / "RN50.pt", activation="gelu")


def test_tensors_with_a_wrong_number_of_axes_are_an_error(tmp_path: Path) -> None:
    state = OpenAICLIP(SMALL).state_dict()
    state["visual.conv1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(RequestError, match="number of axes"):
        load_clip(tmp_path / "weights.pt", activation="gelu")


def test_weights_that_are_whole_numbers_are_an_error(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state[PROJECTION] = state[PROJECTION].to(torch.int8)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(RequestError, match=r"projection\.weight is torch\.int8"):
        load_clip(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip"}, "siglip"),
        ({"text_config__hidden_act": "relu"}, "hidden_act.*relu"),
        ({"vision_config__num_channels": 4}, "num_channels is 4"),
        ({"text_config__layer_norm_eps": 1e-6}, "layer_norm_eps is 1e-06"),
        ({"vision_config__patch_size": 0}, "patch"),
        ({"text_config__vocab_size": "many"}, "text.vocabulary"),
        ({"projection_dim": 10**400}, "embed"),
        ({"text_config__hidden_size": 2**62}, r"text\.width"),
        ({"projection_dim": None}, "embed"),
        ({"vision_config__num_attention_heads": 3}, "image width 128 .* 3 heads"),
        ({"text_config__hidden_act": "relu", "vision_config__hidden_act": "relu"}, "relu"),
    ],
)
def test_a_config_that_cannot_be_followed_is_an_error_that_says_why(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    change_config(folder, **changes)
    with pytest.raises(RequestError, match=rf"config\.json: .*{message}"):
        load_clip(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"model_type": "clip", "text_config": 3}', "damaged"),
        ('{"model_type": "clip", "text_config": {"hidden_act": []}}', "hidden_act"),
    ],
)
def test_a_damaged_config_is_an_error(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(RequestError, match=rf"config\.json.*{message}"):
        load_clip(folder)


def test_hugging_face_weights_without_a_config_are_an_error(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(RequestError, match=r"config\.json"):
        load_clip(folder / "model.safetensors")


@pytest.mark.parametrize("place", ["model_cfg", "vision_cfg", "text_cfg"])
def test_an_open_clip_setting_that_would_be_ignored_is_an_error(tmp_path: Path, place: str) -> None:
    model: dict[str, Any] = {"embed_dim": 48, "vision_cfg": {}, "text_cfg": {}}
    (model if place == "model_cfg" else model[place])["custom_text"] = True
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    save_file(OpenAICLIP(SMALL).state_dict(), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(RequestError, match=rf"{place} sets custom_text"):
        load_clip(tmp_path)
