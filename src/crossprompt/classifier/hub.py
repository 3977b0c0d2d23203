"""Saved classifiers on the Hugging Face hub: only safetensors and JSON come from there."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

from crossprompt.classifier.info import TINY, hub_name
from crossprompt.classifier.model_card import card_text
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    CARD,
    DESCRIPTION,
    FROZEN,
    LEARNED,
    json_text,
    read_description,
)
from crossprompt.utils.text import one_line

FILES = (DESCRIPTION, FROZEN, LEARNED)
"""What is fetched, the description first."""
OTHERS = (".onnx", ".pt2", ".safetensors", ".json", ".pt", ".bin")
"""Endings of files, which no repository is taken to have."""
LOGIN = "log in with 'hf auth login', set HF_TOKEN, or in Python give token="


def is_repository(name: str | PathLike[str]) -> bool:
    """Whether a name may be one of the hub, ``owner/name``.

    It is not where anything here is called so, or where there is a folder ``owner``, in which then
    something is missing.
    """
    text = name if isinstance(name, str) else Path(name).as_posix()
    found = re.fullmatch(r"([A-Za-z0-9][\w.-]*)/[\w.-]+", text)
    here = Path(text).exists() or (found is not None and Path(found[1]).exists())
    return found is not None and not here and Path(text).suffix.lower() not in OTHERS


def fetch(
    repository: str,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
) -> Path:
    """The folder, in the cache, of a classifier that is on the hub.

    Args:
        repository: its id, ``owner/name``.
        revision: branch, tag or commit; the main branch by default.
        token: of a user who may read it; the one logged in with by default.
        cache_dir: where files are kept; the cache of ``huggingface_hub`` by default.

    Raises:
        RequestError: there is no such repository or revision, it may not be read, holds no
            classifier, or the hub cannot be reached and the classifier is not in the cache.
    """
    from huggingface_hub import hf_hub_download  # whose import takes a while

    for name in FILES:
        with _explained(repository, revision, name):
            path = Path(
                hf_hub_download(
                    repository,
                    name,
                    revision=revision,
                    token=token,
                    cache_dir=None if cache_dir is None else Path(cache_dir),
                )
            )
        revision = path.parent.name  # the commit: what is pushed meanwhile is not mixed in
    return path.parent


def push_folder(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Upload a saved classifier with a model card.

    A backbone that is a folder of this machine is called by the folder's last name there: whoever
    loads the classifier names the place of their own.

    Args:
        folder: what ``Classifier.save`` wrote.
        repository: its id, ``owner/name``; made if there is none.
        private: whether a repository that is made is.
        token: of a user who may write it; the one logged in with by default.
        revision: branch to write to, made if there is none; the main branch by default.
        commit_message: what the hub's history says.

    Returns:
        The address of the commit.

    Raises:
        RequestError: the folder holds no classifier, or the hub refuses.
    """
    from huggingface_hub import HfApi

    description = read_description(folder / DESCRIPTION)
    backbone = description["backbone"]
    if backbone["name"] != TINY and hub_name(backbone["name"]) is None:
        backbone["name"] = re.split(r"[\\/]", backbone["name"].rstrip("\\/"))[-1]
    with TemporaryDirectory() as place, _explained(repository, revision, DESCRIPTION):
        for name in (FROZEN, LEARNED):
            shutil.copyfile(folder / name, Path(place) / name)
        (Path(place) / DESCRIPTION).write_text(json_text(description), "utf-8")
        (Path(place) / CARD).write_text(card_text(description, repository), "utf-8")
        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=place,
            revision=revision,
            commit_message=commit_message or f"A {description['method']['name']} classifier",
        )
    return done.commit_url


@contextmanager
def _explained(repository: str, revision: str | None, name: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line that says what to do."""
    from huggingface_hub import errors
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    except errors.GatedRepoError as error:
        raise RequestError(
            f"{repository} on the hub is gated: ask for access on its page, then {LOGIN}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise RequestError(
            f"there is no folder {repository!r} here and no repository of that name on the hub "
            f"that may be read; check the spelling, or if it is private, {LOGIN}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RequestError(
            f"{repository} on the hub has no revision {revision!r}; give a branch, tag or commit "
            "of it"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise RequestError(
            f"there is no folder {repository!r} here, the hub cannot be reached, and {name} of "
            f"{repository} is not in the local cache; connect, or on a connected machine run 'hf "
            f"download {repository} --local-dir FOLDER', copy the folder here and give its path"
        ) from error
    except errors.EntryNotFoundError as error:
        raise RequestError(
            f"{repository} on the hub has no {name}, so it is no crossprompt classifier; give a "
            "repository that crossprompt push or push_to_hub wrote"
        ) from error
    except errors.HFValidationError as error:
        raise RequestError(
            f"{repository!r:.100} is no name of a repository; expected owner/name of letters, "
            "digits, - _ and ."
        ) from error
    except _unreachable() as error:
        reason = one_line(error)
        raise RequestError(
            f"the hub cannot be reached for {repository} ({reason:.200}); connect, and to write "
            f"there {LOGIN}"
        ) from error
    except (errors.HfHubHTTPError, OSError, json.JSONDecodeError) as error:
        if isinstance(error, OSError) and "No space left" in str(error):
            raise
        reason = one_line(error)
        hint = f"; {LOGIN}" if re.search(r"\b40[13]\b", reason) else "; try again"
        raise RequestError(f"the hub refused {repository} ({reason:.200}){hint}") from error


def _unreachable() -> tuple[type[Exception], ...]:
    """What the hub's library lets through of the HTTP library below it, where nobody answers."""
    from huggingface_hub import errors

    # its releases differ in which library that is, but their errors have one base in it
    bases = [base for base in errors.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"]
    libraries = {base.__module__.partition(".")[0] for base in bases}
    found = (getattr(sys.modules.get(name), "TransportError", None) for name in libraries)
    return (errors.OfflineModeIsEnabled, *(error for error in found if error is not None))
