"""Saved classifiers on the Hugging Face hub; only safetensors and JSON are downloaded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from crossprompt.classifier.model_card import TINY, card_text, hub_name
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    CARD,
    DESCRIPTION,
    FROZEN,
    LEARNED,
    json_text,
    read_description,
)
from crossprompt.methods import find_method
from crossprompt.utils.text import one_line

FILES = (DESCRIPTION, FROZEN, LEARNED)
OTHERS = (".onnx", ".pt2", ".safetensors", ".json", ".pt", ".bin")
"""Suffixes of files, which are never taken for a repository."""


def is_repository(name: str | PathLike[str]) -> bool:
    """True if a name may be ``owner/name`` on the hub.

    It may not if anything here has that name, or if there is a folder ``owner``, from which then
    something is missing.
    """
    text = name if isinstance(name, str) else Path(name).as_posix()
    found = re.fullmatch(r"([A-Za-z0-9][\w.-]*)/[\w.-]+", text)
    here = Path(text).exists() or (found is not None and Path(found[1]).exists())
    return found is not None and not here and Path(text).suffix.lower() not in OTHERS


def fetch(repository: str, revision: str | None = None, token: str | None = None) -> Path:
    """Download a classifier into the cache of ``huggingface_hub``; returns its folder there.

    Raises:
        RequestError: the repository or revision does not exist, may not be read or holds no
            classifier, or the hub cannot be reached and the classifier is not in the cache.
    """
    from huggingface_hub import hf_hub_download  # slow

    for name in FILES:
        with _hub_errors(f"cannot load {repository!r}, which is no folder here, from the hub"):
            found = hf_hub_download(repository, name, revision=revision, token=token)
        revision = Path(found).parent.name  # the commit, so that a push meanwhile is not mixed in
    return Path(found).parent


def push_folder(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Upload a saved classifier with a model card; see ``Classifier.push_to_hub``.

    A repository and a branch are made if they do not exist. The path of a backbone on this machine
    is cut to its last part: whoever loads the classifier gives the place of their own.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    description = read_description(folder / DESCRIPTION)
    backbone = description["backbone"]
    if backbone["name"] != TINY and hub_name(backbone["name"]) is None:
        backbone["name"] = re.split(r"[\\/]", backbone["name"].rstrip("\\/"))[-1]
    method = description["method"]["name"]
    card = card_text(description, find_method(method).paper, repository)
    files: dict[str, bytes | Path] = {
        FROZEN: folder / FROZEN,
        LEARNED: folder / LEARNED,
        DESCRIPTION: json_text(description).encode(),
        CARD: card.encode(),
    }
    with _hub_errors(f"cannot push to {repository!r} on the hub"):
        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        message = commit_message or f"A {method} classifier"
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        done = api.create_commit(repository, operations, commit_message=message, revision=revision)
    return done.commit_url


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """Turn errors of ``huggingface_hub`` and of the HTTP library below it into a ``RequestError``;
    their own texts name the cause and what to do."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    http: Any = HfHubHTTPError.__bases__  # the base of the HTTP library's errors is among them
    try:
        yield
    except (*http, OSError, ValueError) as error:
        reason = f"{one_line(error).rstrip('.'):.400}"
        if isinstance(error, OSError) and "No space left" in reason:
            raise
        advice = "check the spelling and the connection, or log in with 'hf auth login' or HF_TOKEN"
        if isinstance(error, LocalEntryNotFoundError):
            advice = "or copy what 'hf download' fetches elsewhere, and give that folder"
        elif isinstance(error, EntryNotFoundError):
            advice = "it is no classifier that crossprompt push wrote"
        raise RequestError(f"{what}: {reason}; {advice}") from error
