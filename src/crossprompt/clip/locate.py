"""Finds the files of a checkpoint: in the package, in a folder, or on the Hugging Face hub."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from crossprompt.errors import RequestError
from crossprompt.utils.text import nearest, one_line

TINY = Path(__file__).parent / "tiny"
"""The checkpoint that comes with the package."""
CHECKPOINTS = {
    "tiny": "tiny",
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-B/16 laion2b": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
}
"""Well-known checkpoints: their names in papers, and the name that ``load_clip`` takes."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
PREPROCESS = ("preprocessor_config.json", "processor_config.json")
BESIDE_WEIGHTS = ("config.json", "open_clip_config.json", *TOKENIZER, *PREPROCESS)
"""Every small file that a checkpoint may need."""


def find_checkpoint(name: str | PathLike[str], cache_dir: str | PathLike[str] | None) -> Path:
    """The weights of a checkpoint; its other files are in the same folder.

    Args:
        name: as ``load_clip`` takes it.
        cache_dir: where files from the hub are cached.

    Raises:
        RequestError: nothing has that name, or it holds no weights.
    """
    path = Path(name).expanduser()
    if name == "tiny" or (str(name) == "tiny" and not path.exists()):
        path = TINY
    if str(name) and path.is_file():
        return path
    if str(name) and path.is_dir():
        names = _weight_names(path)
        if weights := first_file(path, names):
            return weights
        raise RequestError(f"{path} has no weights; put {' or '.join(names)} into it")
    if _is_repository(name):
        return _fetch_weights(str(name), cache_dir)
    raise RequestError(_unknown(name))


def first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of ``names`` that is in the folder."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def fetch(
    repository: str,
    names: Sequence[str],
    needed: Sequence[str],
    cache_dir: str | PathLike[str] | None,
) -> Path:
    """Fetch files of a repository of the hub, unless a ``needed`` one is cached; the local folder.

    Args:
        repository: its id, ``owner/name``.
        names: files to fetch; those that the repository lacks are left out.
        needed: any one of these in the cache is enough.
        cache_dir: where files are cached; the cache of ``huggingface_hub`` by default.

    Raises:
        RequestError: there is no such repository, it refuses, or nothing of it is cached and the
            hub cannot be reached.
    """
    # not at the top: it takes a while to import, and a local folder needs no hub
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    folder, unreachable = None, None
    for offline in (True, False):
        try:
            folder = Path(
                snapshot_download(
                    repository,
                    allow_patterns=[*names],
                    cache_dir=None if cache_dir is None else Path(cache_dir),
                    local_files_only=offline,
                )
            )
        except errors.LocalEntryNotFoundError as error:
            unreachable = error
        except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
            raise RequestError(
                f"the hub has no public repository {repository!r}; check the spelling, log in with "
                "'hf auth login' if it is private, or give the path of a local folder"
            ) from error
        except OSError as error:  # refused or broken off
            raise RequestError(
                f"{repository} cannot be fetched from the hub ({one_line(error):.200}); try again, "
                "or give the path of a local folder"
            ) from error
        if folder is not None and first_file(folder, needed):
            return folder
    if folder is None:
        raise RequestError(_not_found(repository, names[:1])) from unreachable
    return folder


def full_name(name: str | PathLike[str]) -> str:
    """The name under which the checkpoint is found again, from any working directory."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name != "tiny" and path.exists() else str(name)


def _fetch_weights(repository: str, cache_dir: str | PathLike[str] | None) -> Path:
    folder = fetch(repository, BESIDE_WEIGHTS, TOKENIZER, cache_dir)
    names = _weight_names(folder)
    if weights := first_file(folder, names):
        return weights
    for name in names:  # one after the other: a repository may hold the same weights twice
        folder = fetch(repository, [name], [name], cache_dir)
        if weights := first_file(folder, [name]):
            return weights
    raise RequestError(_not_found(repository, names))


def _weight_names(folder: Path) -> Sequence[str]:
    by_open_clip = first_file(folder, ["config.json", "open_clip_config.json"])
    is_open_clip = by_open_clip is not None and by_open_clip.name != "config.json"
    return OPEN_CLIP_WEIGHTS if is_open_clip else WEIGHTS


def _not_found(repository: str, names: Sequence[str]) -> str:
    return (
        f"{repository} has no {' or '.join(names)} in the local cache, and the hub has none or "
        f"cannot be reached; on a connected machine run 'hf download {repository} --local-dir "
        "FOLDER' (older: huggingface-cli download), copy the folder here and give its path: "
        'load_clip("path/to/FOLDER"), or on the command line --backbone path/to/FOLDER'
    )


def _is_repository(name: str | PathLike[str]) -> bool:
    """True if a name that is no path here may be a repository of the hub: ``owner/name``."""
    owner, slash, repository = str(name).partition("/")
    return (
        isinstance(name, str)
        and name.lower() not in (known.lower() for known in CHECKPOINTS)
        and bool(owner.strip("~.") and slash and repository)
        and "/" not in repository
        and Path(name).suffix not in (".pt", ".pth", ".bin", ".safetensors")
    )


def _unknown(name: str | PathLike[str]) -> str:
    names = {known.lower(): meant for known, meant in CHECKPOINTS.items()}
    names |= {
        part.lower(): meant for meant in CHECKPOINTS.values() for part in (meant, Path(meant).name)
    }
    near = nearest(str(name).lower(), names, 0.5)
    hint = f"did you mean {names[near]!r}? " if near else ""
    return (
        f"there is no checkpoint, file or folder {str(name)!r}; {hint}expected one of "
        f"{', '.join(CHECKPOINTS.values())}, another repository of the hub (owner/name), or the "
        "path of a folder or file"
    )
