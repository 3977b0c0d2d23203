"""Places that ``load_clip`` takes files from; a folder or a local server plays the hub."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from crossprompt.clip.load import load_clip, save_clip
from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig
from crossprompt.errors import RequestError
from tests.clip.openai_clip import OpenAICLIP
from tests.clip.random_clip import make_clip, make_tokenizer
from tests.hub_server import Repository, serving

B_16 = "openai/clip-vit-base-patch16"
PUBLIC = CLIPConfig(  # with OpenAI's vocabulary, whose tokenizer the hub has
    ImageConfig(side=16, patch=8, width=64, blocks=1, heads=1, mlp_width=64),
    TextConfig(vocabulary=49408, context=8, width=64, blocks=1, heads=1, mlp_width=64),
    embed=8,
    activation="gelu",
)


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


class FakeHub:
    """Repositories are folders under ``root``; fetched files are under ``cache``."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        self.reachable = True
        self.requests: list[str] = []

    def snapshot(
        self,
        repository: str,
        *,
        allow_patterns: list[str],
        cache_dir: object,
        local_files_only: bool,
    ) -> str:
        found, cached = self.root / repository, self.cache / repository
        if not local_files_only:
            self.requests += allow_patterns
            if self.reachable:
                cached.mkdir(parents=True, exist_ok=True)
                for name in allow_patterns:
                    if (found / name).exists():
                        shutil.copy(found / name, cached)
        if not cached.exists():
            raise errors.LocalEntryNotFoundError("not cached")
        return str(cached)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(tmp_path / "hub", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot)
    return hub


def test_a_repository_is_fetched_once_and_then_read_without_the_hub(
    hub: FakeHub, clip: CLIP
) -> None:
    save_clip(clip, hub.root / B_16)
    first = load_clip(B_16)
    assert first.name == B_16
    assert "model.safetensors" in hub.requests
    hub.requests.clear()
    again = load_clip(B_16)
    assert hub.requests == []
    assert again.weights_hash == first.weights_hash


def test_weights_are_fetched_in_one_form_only(hub: FakeHub, clip: CLIP) -> None:
    save_clip(clip, hub.root / B_16)
    path = hub.root / B_16 / "model.safetensors"
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    load_clip(B_16)
    assert not (hub.cache / B_16 / "pytorch_model.bin").exists()


def test_a_repository_may_hold_its_weights_as_bin(hub: FakeHub, clip: CLIP) -> None:
    save_clip(clip, hub.root / B_16)
    path = hub.root / B_16 / "model.safetensors"
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    path.unlink()
    loaded = load_clip(B_16, dtype="fp32")
    assert torch.equal(loaded.image.class_token, clip.image.class_token)
    hub.requests.clear()
    load_clip(B_16)
    assert hub.requests == []


def test_an_unreachable_hub_is_an_error_that_says_how_to_get_the_files(hub: FakeHub) -> None:
    hub.reachable = False
    with pytest.raises(RequestError, match=rf"{B_16}.*hf download {B_16} --local-dir") as error:
        load_clip(B_16)
    assert "\n" not in str(error.value)
    assert hub.requests.count("config.json") == 1  # each request may take half a minute
    assert "model.safetensors" not in hub.requests


def test_a_half_cached_repository_offline_is_an_error_that_names_the_missing_file(
    hub: FakeHub, clip: CLIP
) -> None:
    save_clip(clip, hub.root / B_16)
    load_clip(B_16)
    (hub.cache / B_16 / "model.safetensors").unlink()
    hub.reachable = False
    with pytest.raises(RequestError, match=rf"{B_16}.*model\.safetensors"):
        load_clip(B_16)


def test_the_real_client_fetches_from_a_server_and_then_reads_its_cache(
    clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_clip(clip, tmp_path / "checkpoint")
    files = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir()}
    with serving() as server:
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        huggingface_hub.close_session()
        repository = server.repositories["some/clip"] = Repository()
        repository.commit("main", {**files, "README.md": b"not needed"})
        loaded = load_clip("some/clip", dtype="fp32", cache_dir=tmp_path / "cache")
        assert torch.equal(loaded.image.class_token, clip.image.class_token)
        assert not [request for request in server.asked if "README" in request]
        server.asked.clear()
        again = load_clip("some/clip", cache_dir=tmp_path / "cache")
        assert again.weights_hash == loaded.weights_hash
        assert server.asked == []
        with pytest.raises(RequestError, match="some/other"):
            load_clip("some/other", cache_dir=tmp_path / "cache")


def test_the_real_client_in_offline_mode_gives_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RequestError, match=B_16):
        load_clip(B_16, cache_dir=tmp_path)


def test_a_repository_without_a_clip_is_an_error(hub: FakeHub) -> None:
    (hub.root / "someone" / "else").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"someone/else.*model\.safetensors"):
        load_clip("someone/else")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.HFValidationError("bad"), "'some/thing'"),
        (OSError("403 gated\nmore"), "some/thing.*403 gated"),
    ],
)
def test_what_the_hub_refuses_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(RequestError, match=message) as found:
        load_clip("some/thing")
    assert "\n" not in str(found.value)


def test_a_lone_file_with_openais_vocabulary_takes_the_tokenizer_from_the_hub(
    hub: FakeHub, tmp_path: Path
) -> None:
    path = tmp_path / "alone" / "weights.safetensors"
    path.parent.mkdir()
    save_file(OpenAICLIP(PUBLIC).state_dict(), path)
    (hub.root / B_16).mkdir(parents=True)
    make_tokenizer().save(hub.root / B_16 / "tokenizer.json")
    loaded = load_clip(path, activation="gelu")
    assert loaded.tokenizer.encode("dogs") == make_tokenizer().encode("dogs")
    shutil.rmtree(hub.root)
    shutil.rmtree(hub.cache)
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        load_clip(path, activation="gelu")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("tinny", "tiny"),
        ("ViT-B/16", B_16),
        ("vit-l/14", "openai/clip-vit-large-patch14"),
        ("clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("CLIP-ViT-B-16-laion2B", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    ],
)
def test_an_unknown_name_suggests_the_nearest_known_one(name: str, nearest: str) -> None:
    with pytest.raises(RequestError, match=rf"'{name}'; did you mean '{nearest}'\?"):
        load_clip(name)


@pytest.mark.parametrize("name", ["gone/away/model", "./gone", "weights/gone.pt", "/gone", ""])
def test_a_path_that_is_not_there_is_an_error_that_lists_what_can_be_given(name: str) -> None:
    with pytest.raises(RequestError, match=rf"'{name}'.* tiny, "):
        load_clip(name)


def test_a_path_object_is_never_taken_for_a_repository() -> None:
    with pytest.raises(RequestError, match="clip-vit-base-patch16"):
        load_clip(Path("openai") / "clip-vit-base-patch16")


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no weights.* model\.safetensors"):
        load_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(RequestError, match=r"no weights.* open_clip_model\.safetensors"):
        load_clip(tmp_path)
