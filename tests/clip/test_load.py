"""Every format that ``load_clip`` reads, and ``save_clip``."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossprompt.clip import locate as places
from crossprompt.clip.load import load_clip, save_clip
from crossprompt.clip.locate import to_hugging_face
from crossprompt.clip.model import CLIP
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.state_dict import HUGGING_FACE, OPENAI, KeyTable, sources
from crossprompt.errors import RequestError
from tests.clip.openai_clip import OpenAICLIP, write_archive
from tests.clip.random_clip import SMALL, make_clip, make_tokenizer

GELU = replace(SMALL, activation="gelu")
OPEN_CLIP_CONFIG = {
    "model_cfg": {
        "embed_dim": SMALL.embed,
        "vision_cfg": {
            "image_size": 32,
            "patch_size": 8,
            "width": 128,
            "layers": 2,
            "mlp_ratio": 2.0,
        },
        "text_cfg": {
            "context_length": 24,
            "vocab_size": 560,
            "width": 64,
            "heads": 1,
            "layers": 3,
            "mlp_ratio": 3.0,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}
PROBE = ["a photo of a red cat", "dogs", "hot air balloon"]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


@pytest.fixture
def folder(clip: CLIP, tmp_path: Path) -> Path:
    """A Hugging Face folder."""
    save_clip(clip, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def load_exactly(source: Path | str, **options: str) -> CLIP:
    """In fp32, whatever this machine would choose."""
    return load_clip(source, dtype="fp32", **options)


def images(side: int = 32) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator())


def openai_state(clip: CLIP) -> dict[str, Tensor]:
    """The weights of ``clip`` under OpenAI's names."""
    state: dict[str, Tensor] = {}
    for name, source in sources(OPENAI, clip.config).items():
        state.update(source.write(clip.state_dict()[name]))
    return state


def beside(path: Path) -> Path:
    """``path``, with a tokenizer beside it."""
    path.parent.mkdir(exist_ok=True)
    make_tokenizer().save(path.parent / "tokenizer.json")
    return path


def assert_same_model(loaded: CLIP, clip: CLIP) -> None:
    assert loaded.config == clip.config
    for name, parameter in clip.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], parameter), name


def test_a_folder_written_by_transformers_gives_the_same_features(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    config = to_hugging_face(SMALL, tokenizer.start, tokenizer.end)
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    theirs.save_pretrained(tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    ours = load_exactly(tmp_path)
    ids = torch.tensor([[tokenizer.start, *tokenizer.encode(PROBE[0]), tokenizer.end]])
    texts = ours.encode_texts(ours.tokenizer.tokenize_texts(PROBE[:1]))[0]
    with torch.no_grad():
        expected = theirs(input_ids=ids, pixel_values=images())
    logits = ours.logits(ours.encode_images(images()), texts)
    torch.testing.assert_close(logits, expected.logits_per_image, atol=1e-4, rtol=0)
    assert ours.preprocess == Preprocess(32, 32)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_a_saved_folder_is_read_back_by_us_and_by_transformers(
    tmp_path: Path, activation: str
) -> None:
    clip = make_clip(replace(SMALL, activation=activation))
    clip.preprocess = Preprocess(32, 40)
    save_clip(clip, tmp_path)
    loaded = load_exactly(tmp_path)
    assert_same_model(loaded, clip)
    assert loaded.preprocess == clip.preprocess
    assert loaded.name == str(tmp_path)

    theirs, report = transformers.CLIPModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    processor = transformers.AutoTokenizer.from_pretrained(tmp_path)
    inputs = processor(PROBE, padding="max_length", max_length=24, return_tensors="pt")
    with torch.no_grad():
        expected = theirs.get_text_features(inputs.input_ids).pooler_output
    texts = loaded.encode_texts(loaded.tokenizer.tokenize_texts(PROBE))[0]
    torch.testing.assert_close(texts, expected, atol=1e-5, rtol=0)


def test_a_saved_folder_may_hold_half_precision(clip: CLIP, tmp_path: Path) -> None:
    save_clip(clip, tmp_path, dtype=torch.float16)
    file = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in file.values()} == {torch.float16}
    loaded = load_exactly(tmp_path)
    assert loaded.dtype == torch.float32
    for name, parameter in clip.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], parameter.half().float())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_hugging_face_weights_are_read_from_both_kinds_of_file(
    clip: CLIP, folder: Path, name: str
) -> None:
    state = load_file(folder / "model.safetensors")
    state["text_model.embeddings.position_ids"] = torch.arange(24)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    (folder / "model.safetensors").unlink()
    if name.endswith("bin"):
        torch.save(state, folder / name)
    else:
        save_file(state, folder / name)
    assert_same_model(load_exactly(folder), clip)
    assert_same_model(load_exactly(folder / name), clip)


def test_an_openai_archive_gives_the_features_it_computes_itself(tmp_path: Path) -> None:
    model = OpenAICLIP(SMALL).eval()
    path = beside(tmp_path / "archive" / "ViT.pt")
    write_archive(model, SMALL, str(path))
    clip = load_exactly(path)
    assert clip.config == SMALL
    ids = [[clip.tokenizer.start, *clip.tokenizer.encode(text)] for text in PROBE]
    rows = torch.zeros(len(PROBE), 24, dtype=torch.long)
    for row, text in zip(rows, ids, strict=True):
        row[: len(text) + 1] = torch.tensor([*text, clip.tokenizer.end])
    with torch.no_grad():
        image, text = model(images(), rows)
    assert min(image.abs().mean(), text.abs().mean()) > 0.1
    texts = clip.encode_texts(clip.tokenizer.tokenize_texts(PROBE))[0]
    torch.testing.assert_close(clip.encode_images(images()), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, text, atol=1e-5, rtol=0)


def test_the_key_table_has_the_names_and_shapes_of_openai() -> None:
    theirs = {key: value.shape for key, value in OpenAICLIP(SMALL).state_dict().items()}
    assert {key: value.shape for key, value in openai_state(make_clip()).items()} == theirs


@pytest.mark.parametrize("table", [HUGGING_FACE, OPENAI], ids=["hugging_face", "openai"])
def test_each_parameter_has_a_source_and_each_key_is_used_once(table: KeyTable, clip: CLIP) -> None:
    counted = sources(table, SMALL)
    assert set(counted) == set(clip.state_dict())
    uses = Counter(key for source in counted.values() for key in source.keys)
    assert set(uses.values()) == {1}


def test_the_same_weights_are_the_same_model_in_every_format(clip: CLIP, tmp_path: Path) -> None:
    state = openai_state(clip)
    sizes = {"input_resolution": 32, "context_length": 24, "vocab_size": 560}
    model = OpenAICLIP(SMALL)
    model.load_state_dict(state)
    write_archive(model, SMALL, str(beside(tmp_path / "ViT.pt")))
    torch.save(state | {k: torch.tensor(v) for k, v in sizes.items()}, tmp_path / "sizes.pt")
    several = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "state_dict": several, "optimizer": {}}, tmp_path / "epoch_3.pt")
    torch.save(state, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "open_clip.safetensors")
    save_clip(clip, tmp_path / "folder")
    loaded = [load_exactly(tmp_path / name) for name in ("folder", "ViT.pt", "sizes.pt")]
    for name in ("epoch_3.pt", "old.bin", "open_clip.safetensors"):
        loaded.append(load_exactly(tmp_path / name, activation="quick_gelu"))
    for found in loaded:
        assert_same_model(found, clip)
    assert {len(found.weights_hash) for found in loaded} == {64}
    assert len({found.weights_hash for found in loaded}) == 1


def test_an_open_clip_folder_is_read_with_its_config(tmp_path: Path) -> None:
    clip = make_clip(GELU)
    save_file(openai_state(clip), beside(tmp_path / "open_clip_model.safetensors"))
    (tmp_path / "open_clip_config.json").write_text(json.dumps(OPEN_CLIP_CONFIG))
    for name in (tmp_path, tmp_path / "open_clip_model.safetensors"):
        loaded = load_exactly(name)
        assert_same_model(loaded, clip)
        assert loaded.preprocess == Preprocess(32, 32, (0.5,) * 3, (0.25,) * 3)


def test_an_open_clip_config_says_heads_and_activation(tmp_path: Path) -> None:
    config = json.loads(json.dumps(OPEN_CLIP_CONFIG))
    config["model_cfg"]["quick_gelu"] = True
    config["model_cfg"]["vision_cfg"]["head_width"] = 32
    config["model_cfg"]["text_cfg"]["heads"] = 4
    save_file(openai_state(make_clip()), beside(tmp_path / "open_clip_model.safetensors"))
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    loaded = load_clip(tmp_path).config
    assert (loaded.image.heads, loaded.text.heads, loaded.activation) == (4, 4, "quick_gelu")


def test_a_folder_with_both_formats_is_read_as_hugging_faces(clip: CLIP, folder: Path) -> None:
    other = make_clip(GELU, seed=1)
    save_file(openai_state(other), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(OPEN_CLIP_CONFIG))
    assert_same_model(load_exactly(folder), clip)
    assert_same_model(load_exactly(folder / "open_clip_model.safetensors"), other)


def test_a_state_dict_that_says_no_activation_is_gelu_with_a_warning(tmp_path: Path) -> None:
    path = beside(tmp_path / "weights.safetensors")
    save_file(openai_state(make_clip()), path)
    with pytest.warns(UserWarning, match=r"weights\.safetensors .*activation"):
        assert load_clip(path).config.activation == "gelu"
    assert load_clip(path, activation="gelu").config.activation == "gelu"
    assert load_clip(path, activation="quick_gelu").config.activation == "quick_gelu"


def test_an_activation_that_contradicts_the_checkpoint_is_an_error(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=r"config\.json.* gelu"):
        load_clip(folder, activation="gelu")
    path = beside(tmp_path / "openai.pt")
    torch.save(openai_state(make_clip()) | {"vocab_size": torch.tensor(560)}, path)
    with pytest.raises(RequestError, match="quick_gelu, but gelu"):
        load_clip(path, activation="gelu")


def test_what_is_loaded_is_frozen_and_says_what_it_is(folder: Path) -> None:
    clip = load_clip(str(folder))
    assert not clip.training
    assert not any(parameter.requires_grad for parameter in clip.parameters())
    assert clip.name == str(folder)
    assert clip.tokenizer.encode("red cat") == make_tokenizer().encode("red cat")
    assert clip.preprocess == Preprocess(32, 32)


def test_a_relative_path_is_remembered_so_that_it_is_found_from_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert load_clip("checkpoint").name == str(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_come_in_the_asked_dtype_and_the_scale_in_fp32(
    clip: CLIP, folder: Path, dtype: torch.dtype
) -> None:
    loaded = load_clip(folder, dtype=dtype)
    assert loaded.dtype == dtype
    kinds = {name: parameter.dtype for name, parameter in loaded.named_parameters()}
    assert kinds.pop("logit_scale") == torch.float32
    assert set(kinds.values()) == {dtype}
    assert torch.equal(loaded.logit_scale, clip.logit_scale)


def test_a_dtype_that_is_no_float_is_an_error(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"torch\.int8"):
        load_clip(folder, dtype=torch.int8)


def test_the_hash_depends_on_the_weights_and_not_on_the_asked_dtype(
    clip: CLIP, folder: Path, tmp_path: Path
) -> None:
    first = load_clip(folder).weights_hash
    assert load_clip(folder, dtype=torch.bfloat16).weights_hash == first
    state = load_file(folder / "model.safetensors")
    state["text_model.final_layer_norm.bias"][3] += 1e-3
    save_file(state, folder / "model.safetensors")
    assert load_clip(folder).weights_hash != first
    save_clip(clip, tmp_path / "half", dtype=torch.float16)
    assert load_clip(tmp_path / "half").weights_hash != first


def test_loading_leaves_the_global_generator_alone_and_the_file_unlocked(folder: Path) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    clip = load_clip(folder)
    assert torch.equal(torch.get_rng_state(), state)
    before = clip.image.class_token.clone()
    file = folder / "model.safetensors"
    file.write_bytes(bytes(file.stat().st_size))  # the weights are no view of the file
    assert torch.equal(clip.image.class_token, before)


def test_tiny_is_the_checkpoint_in_the_package(
    folder: Path, clip: CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "TINY", folder)
    loaded = load_exactly("tiny")
    assert_same_model(loaded, clip)
    assert loaded.name == "tiny"
    assert load_exactly(Path("tiny")).name == "tiny"


def test_older_files_with_a_vocabulary_in_two_parts_are_read(folder: Path) -> None:
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(merges + "\n", encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    assert load_clip(folder).tokenizer.encode(PROBE[0]) == make_tokenizer().encode(PROBE[0])


def test_a_tokenizer_can_be_given(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "tokenizer.json", tmp_path / "elsewhere.json")
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        load_clip(folder)
    tokenizer = make_tokenizer()
    assert load_clip(folder, tokenizer=tokenizer).tokenizer is tokenizer
    given = load_clip(folder, tokenizer=tmp_path / "elsewhere.json").tokenizer
    assert given.encode("dogs") == tokenizer.encode("dogs")


def test_a_tokenizer_with_more_ids_than_the_weights_is_an_error(tmp_path: Path) -> None:
    text = replace(SMALL.text, vocabulary=300)
    save_clip(make_clip(replace(SMALL, text=text)), tmp_path)
    with pytest.raises(RequestError, match=r"558 .* 300"):
        load_clip(tmp_path)


def test_a_transform_of_another_size_is_an_error(folder: Path) -> None:
    Preprocess(64, 64).save(folder / "preprocessor_config.json")
    with pytest.raises(RequestError, match=r"64 .* 32"):
        load_clip(folder)


def test_older_configs_repeat_the_towers_settings_and_the_repetition_counts(
    clip: CLIP, folder: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config_dict"] = config["text_config"]
    config["vision_config_dict"] = None
    config["text_config"] = {"hidden_size": 7}
    (folder / "config.json").write_text(json.dumps(config))
    assert_same_model(load_exactly(folder), clip)
