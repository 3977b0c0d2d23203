"""Where ``load_clip`` looks, and what it says when nothing is there; a folder plays the hub."""

import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from crossprompt.clip import locate as places
from crossprompt.clip.load import load_clip, save_clip
from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig
from crossprompt.errors import RequestError
from tests.clip.openai_clip import OpenAICLIP
from tests.clip.random_clip import make_clip, make_tokenizer

B_16 = "openai/clip-vit-base-patch16"
PUBLIC = CLIPConfig(  # with OpenAI's vocabulary, whose tokenizer the hub has
    ImageConfig(side=16, patch=8, width=64, blocks=1, heads=1, mlp_width=64),
    TextConfig(vocabulary=49408, context=8, width=64, blocks=1, heads=1, mlp_width=64),
    embed=8,
    activation="gelu",
)
Download = Callable[..., str]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


class FakeHub:
    """Repositories are folders under ``root``; what was fetched is in ``cached``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reachable = True
        self.cached: set[str] = set()
        self.asked: list[str] = []

    def download(
        self, repository: str, name: str, *, cache_dir: object, local_files_only: bool
    ) -> str:
        path = self.root / repository / name
        if str(path) in self.cached:
            return str(path)
        if local_files_only:
            raise errors.LocalEntryNotFoundError("not cached")
        self.asked.append(name)
        if not self.reachable:
            raise errors.LocalEntryNotFoundError("no connection")
        if not path.exists():
            raise errors.EntryNotFoundError("404")
        self.cached.add(str(path))
        return str(path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    return hub


def test_a_repository_is_fetched_once_and_then_read_without_the_hub(
    hub: FakeHub, clip: CLIP
) -> None:
    save_clip(clip, hub.root / B_16)
    first = load_clip(B_16)
    assert first.name == B_16
    assert set(hub.asked) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "preprocessor_config.json",
    }
    hub.reachable = False
    hub.asked.clear()
    again = load_clip(B_16)
    assert hub.asked == []
    assert again.weights_hash == first.weights_hash


def test_a_repository_may_hold_its_weights_as_bin(hub: FakeHub, clip: CLIP) -> None:
    save_clip(clip, hub.root / B_16)
    path = hub.root / B_16 / "model.safetensors"
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    path.unlink()
    loaded = load_clip(B_16, dtype="fp32")
    assert torch.equal(loaded.image.class_token, clip.image.class_token)
    hub.reachable = False
    load_clip(B_16)  # the cached .bin is found although nobody can say that there is no other


def test_an_unreachable_hub_is_an_error_that_says_how_to_get_the_files(hub: FakeHub) -> None:
    hub.reachable = False
    with pytest.raises(RequestError) as error:
        load_clip(B_16)
    text = str(error.value)
    assert f"{B_16} was asked for" in text
    assert "not in the local cache and the hub cannot be reached" in text
    assert f"'hf download {B_16} --local-dir FOLDER' (older: huggingface-cli download)" in text
    assert 'load_clip("path/to/FOLDER")' in text
    assert "\n" not in text
    assert hub.asked == ["config.json"]  # each try takes half a minute


def test_a_half_cached_repository_offline_is_an_error_that_says_what_is_missing(
    hub: FakeHub, clip: CLIP
) -> None:
    save_clip(clip, hub.root / B_16)
    load_clip(B_16)
    hub.cached = {path for path in hub.cached if "model.safetensors" not in path}
    hub.reachable = False
    with pytest.raises(RequestError, match=r"its weights \(model\.safetensors or pytorch_model"):
        load_clip(B_16)


def test_the_real_client_in_offline_mode_gives_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RequestError, match="not in the local cache and the hub cannot be reached"):
        load_clip(B_16, cache_dir=tmp_path)


def test_a_repository_without_a_clip_is_an_error(hub: FakeHub) -> None:
    (hub.root / "someone" / "else").mkdir(parents=True)
    with pytest.raises(RequestError, match="someone/else on the hub has no weights; expected"):
        load_clip("someone/else")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.HFValidationError("bad"), "no public repository 'some/thing'; check the spelling"),
        (OSError("403 gated\nmore"), r"config\.json of some/thing cannot be .* \(403 gated\); try"),
    ],
)
def test_what_the_hub_refuses_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
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
    hub.cached.clear()
    with pytest.raises(RequestError, match=r"alone has no tokenizer; expected tokenizer\.json"):
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
    with pytest.raises(RequestError, match=r"there is no checkpoint, file or folder .* tiny, "):
        load_clip(name)


def test_a_path_object_is_never_taken_for_a_repository() -> None:
    with pytest.raises(RequestError, match="there is no checkpoint, file or folder"):
        load_clip(Path("openai") / "clip-vit-base-patch16")


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"has no weights; expected model\.safetensors or py"):
        load_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(RequestError, match=r"has no weights; expected open_clip_model\.safet"):
        load_clip(tmp_path)


def test_a_known_name_is_listed_for_each_checkpoint() -> None:
    assert "tiny" in places.CHECKPOINTS.values()
    assert all(name == "tiny" or name.count("/") == 1 for name in places.CHECKPOINTS.values())
