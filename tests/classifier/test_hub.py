"""Classifiers on the hub, against a stand-in on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import constants, hf_api

from crossprompt.classifier import hub as ours
from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.hub import fetch, is_repository
from crossprompt.classifier.loading import load
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import CARD, DESCRIPTION, FROZEN, LEARNED
from tests.artifacts.keep import FOLDER, kept_clip
from tests.backbone import random_images, write_items
from tests.hub_server import Hub, Repository, serving
from tests.saved import classify, rewrite

NAME = "user/pets"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """In place of the real one, with an empty cache and somebody logged in."""
    with serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        monkeypatch.setattr(hf_api.api, "endpoint", found.address)
        for name, value in {
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_STORED_TOKENS_PATH": str(tmp_path / "tokens"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        template = "{endpoint}/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            template.replace("{endpoint}", found.address),
        )
        monkeypatch.setenv("HF_TOKEN", found.token)
        for proxy in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(proxy, raising=False)
            monkeypatch.delenv(proxy.upper(), raising=False)
        huggingface_hub.close_session()
        yield found
        huggingface_hub.close_session()


@pytest.fixture
def clip() -> CLIP:
    return kept_clip()


@pytest.fixture
def classifier(clip: CLIP) -> Classifier:
    return load(FOLDER / "adapter", clip)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def there(hub: Hub, **of_repository: bool) -> Repository:
    """A repository that holds the classifier, and much else."""
    found = hub.repositories[NAME] = Repository(**of_repository)
    found.commit("main", {**contents(FOLDER / "adapter"), "evil.pkl": b"x", "run.py": b"x"})
    return found


def test_what_is_pushed_is_loaded_again(hub: Hub, classifier: Classifier, clip: CLIP) -> None:
    address = classifier.push_to_hub(NAME, private=True, commit_message="The first")
    repository = hub.repositories[NAME]
    assert address == f"{hub.address}/{NAME}/commit/{repository.branches['main']}"
    assert (repository.private, repository.message) == (True, "The first")
    files = repository.commits[repository.branches["main"]]
    assert set(files) == {DESCRIPTION, FROZEN, LEARNED, CARD}
    card = files[CARD].decode()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pipeline_tag"] == "image-classification"
    assert f'xp.load("{NAME}")' in card
    loaded, images = load(NAME, clip), random_images(2)
    assert torch.equal(loaded.logits(images), classifier.logits(images))
    assert loaded.information == classifier.information
    classifier.push_to_hub(NAME)  # a second time
    assert len(repository.commits) == 2


def test_only_what_a_classifier_needs_is_downloaded(hub: Hub, clip: CLIP) -> None:
    there(hub)
    load(NAME, clip)
    downloaded = {path.rpartition("/")[2] for path in hub.asked if path.startswith("GET")}
    assert downloaded == {DESCRIPTION, FROZEN, LEARNED}


def test_a_revision_may_be_given(hub: Hub, classifier: Classifier, clip: CLIP) -> None:
    repository = there(hub)
    classifier.with_classes(["a", "b", "c"]).push_to_hub(NAME, revision="three")
    assert len(load(NAME, clip, revision="three").class_names) == 3
    assert len(load(NAME, clip, revision=repository.branches["three"]).class_names) == 3
    assert len(load(NAME, clip).class_names) == 4
    with pytest.raises(RequestError, match="four"):
        load(NAME, clip, revision="four")


def test_what_is_pushed_meanwhile_is_not_mixed_in(
    hub: Hub, classifier: Classifier, clip: CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = there(hub)
    download = huggingface_hub.hf_hub_download

    def push_between(repository_id: str, name: str, **options: object) -> str:
        path = download(repository_id, name, **options)
        repository.commit("main", {FROZEN: b"of another", LEARNED: b"classifier"})
        return path

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", push_between)
    load(NAME, clip)


def test_a_folder_that_is_here_is_never_looked_for_there(
    hub: Hub, clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there(hub)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER / "cache", NAME)
    assert load(NAME, clip).frozen.form == "cache"
    with pytest.raises(RequestError, match="user/petz"):  # a typing error
        load("user/petz", clip)
    with pytest.raises(RequestError, match="revision and token"):
        load(NAME, clip, revision="main")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user/pets", True),
        (Path("user/pets-v1.2"), True),
        ("pets", False),
        ("runs/a/b", False),
        ("./pets", False),
        ("../pets", False),
        ("/pets", False),
        ("user/pets.onnx", False),
        ("user/pets/", False),
        ("~user/pets", False),
    ],
)
def test_a_repositorys_name_is_distinguished_from_a_path(name: str | Path, expected: bool) -> None:
    assert is_repository(name) is expected


def refusal(**options: str) -> str:
    with pytest.raises(RequestError) as caught:
        fetch(NAME, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert NAME in message
    return message


def test_an_error_of_the_hub_is_one_line(hub: Hub, clip: CLIP) -> None:
    assert "no folder" in refusal()
    there(hub, private=True)
    assert "hf auth login" in refusal(token="hf_wrong")
    there(hub, gated=True)
    assert "gated" in refusal(token="hf_wrong")
    fetch(NAME)  # with the right token
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit("main", {"model.safetensors": b"x"})
    assert DESCRIPTION in refusal()


def test_a_damaged_download_is_named(hub: Hub, clip: CLIP) -> None:
    there(hub).commit("main", {FROZEN: (FOLDER / "adapter" / FROZEN).read_bytes()[:-3]})
    with pytest.raises(RequestError, match=rf"{NAME} .*{FROZEN}"):
        load(NAME, clip)


def test_without_a_connection_what_is_cached_is_used(hub: Hub, clip: CLIP) -> None:
    there(hub)
    first = fetch(NAME)
    hub.repositories.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert fetch(NAME) == first
        with pytest.raises(RequestError, match=r"user/other.*hf download"):
            fetch("user/other")


def test_a_push_that_is_refused_is_one_line(hub: Hub, classifier: Classifier) -> None:
    with pytest.raises(RequestError, match=r"user/pets.*401.*hf auth login"):
        classifier.push_to_hub(NAME, token="hf_wrong")
    with pytest.raises(RequestError, match="'a b'"):
        classifier.push_to_hub("a b")
    assert hub.repositories == {}


@pytest.mark.parametrize("offline", [True, False])
def test_a_push_that_reaches_nobody_is_one_line(
    hub: Hub, classifier: Classifier, monkeypatch, offline: bool
) -> None:
    if offline:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        with socket.socket() as free:  # a port where nobody listens
            free.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", nobody)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", nobody)
    with pytest.raises(RequestError, match=r"user/pets.*(offline|refused)"):
        classifier.push_to_hub(NAME)


def test_a_backbones_place_on_this_machine_is_not_published(
    hub: Hub, clip: CLIP, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(FOLDER / "adapter", tmp_path / "run"))
    rewrite(folder, lambda x: x["backbone"].update(name="/home/somebody/vit-b16"))
    ours.push_folder(folder, NAME)
    repository = hub.repositories[NAME]
    files = repository.commits[repository.branches["main"]]
    assert json.loads(files[DESCRIPTION])["backbone"]["name"] == "vit-b16"
    assert b"somebody" not in files[CARD]


def test_a_local_folder_stands_in_for_the_hub(clip: CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, name: str, **options: object) -> str:
        assert repository == NAME
        return str(FOLDER / "merged" / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load(NAME, clip).frozen.form == "merged"


@pytest.mark.slow
def test_the_command_line_pushes_looks_and_predicts(
    hub: Hub, tmp_path: Path, backbone: str
) -> None:
    items = write_items(tmp_path / "images", [0, 1, 2, 3])
    classify(load_clip(backbone), items, "coop", length=2).save(tmp_path / "run")
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": hub.token,
        "NO_PROXY": "127.0.0.1",
    }

    def crossprompt(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "crossprompt", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"Pushed to {hub.address}/{NAME}/commit/" in crossprompt(
        "push", "run", NAME, "--private", "--revision", "main", "--message", "Mine"
    )
    assert (hub.repositories[NAME].private, hub.repositories[NAME].message) == (True, "Mine")
    assert json.loads(crossprompt("info", f"{NAME}@main", "--json"))["method"] == "coop"
    words = ["predict", NAME, str(items[0].path), "--json", "--backbone", backbone]
    assert json.loads(crossprompt(*words))["label"]
