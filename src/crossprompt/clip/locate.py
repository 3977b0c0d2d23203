"""Where a checkpoint's files are: in the package, in a folder, or on the Hugging Face hub."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from crossprompt.errors import RequestError
from crossprompt.utils.text import nearest

TINY = Path(__file__).parent / "tiny"
"""The checkpoint that comes with the package."""
CHECKPOINTS = {
    "tiny": "tiny",
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-B/16 laion2b": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
}
"""Well-known checkpoints: what papers call them, and the name that ``load_clip`` takes."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class Folder:
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, names: Sequence[str]) -> Path | None:
        """The first of ``names`` that is there."""
        return next((self._path / name for name in names if (self._path / name).is_file()), None)

    def missing(self, names: Sequence[str], what: str) -> RequestError:
        """What to raise where none of ``names``, which hold the ``what``, was found."""
        return RequestError(
            f"{self._path} has no {what}; expected {' or '.join(names)} there; put it beside the "
            "other files"
        )


class Hub:
    """A repository of the Hugging Face hub; what is cached is used without asking the hub.

    Args:
        repository: its id, ``owner/name``.
        cache_dir: where files are kept; the cache of ``huggingface_hub`` by default.
    """

    def __init__(self, repository: str, cache_dir: str | PathLike[str] | None = None) -> None:
        self._repository = repository
        self._cache_dir = None if cache_dir is None else Path(cache_dir)
        self._unreachable = False

    def find(self, names: Sequence[str]) -> Path | None:
        """The first of ``names`` that is cached, else the first that the repository has."""
        for offline in (True, False):
            for name in names:
                if (offline or not self._unreachable) and (path := self._get(name, offline)):
                    return path
        return None

    def missing(self, names: Sequence[str], what: str) -> RequestError:
        """What to raise where none of ``names``, which hold the ``what``, was found."""
        if not self._unreachable:
            return RequestError(
                f"{self._repository} on the hub has no {what}; expected {' or '.join(names)} "
                "there; choose a repository that holds a CLIP"
            )
        return RequestError(
            f"{self._repository} was asked for, but its {what} ({' or '.join(names)}) is not in "
            "the local cache and the hub cannot be reached; on a connected machine run 'hf "
            f"download {self._repository} --local-dir FOLDER' (older: huggingface-cli download), "
            'copy the folder here and give its path: load_clip("path/to/FOLDER"), or on the '
            "command line --backbone path/to/FOLDER"
        )

    def _get(self, name: str, offline: bool) -> Path | None:
        # not at the top: its import takes a while, and whoever loads a local folder needs no hub
        from huggingface_hub import errors, hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        # its retries take lines; what it says in the end is told

        try:
            path = hf_hub_download(
                self._repository, name, cache_dir=self._cache_dir, local_files_only=offline
            )
        except errors.LocalEntryNotFoundError:
            self._unreachable |= not offline
        except errors.EntryNotFoundError:
            pass  # reached, and the repository has no such file
        except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
            raise RequestError(
                f"the hub has no public repository {self._repository!r}; check the spelling, log "
                "in with 'hf auth login' if it is private, or give the path of a local folder"
            ) from error
        except OSError as error:  # gated, refused or broken off
            raise RequestError(
                f"{name} of {self._repository} cannot be fetched from the hub "
                f"({str(error).strip().partition(chr(10))[0]}); try again, or give a local folder: "
                'load_clip("path/to/folder")'
            ) from error
        else:
            return Path(path)
        return None


Place = Folder | Hub


def find_checkpoint(
    name: str | PathLike[str], cache_dir: str | PathLike[str] | None
) -> tuple[Place, Path]:
    """Where the files of a checkpoint are, and which of them holds its weights.

    Args:
        name: as ``load_clip`` takes it.
        cache_dir: where files from the hub are kept.

    Raises:
        RequestError: nothing has that name, or it holds no weights.
    """
    if not str(name):
        raise RequestError(_unknown(name))  # or it would be taken for the current folder
    path = Path(name).expanduser()
    if name == "tiny" or (str(name) == "tiny" and not path.exists()):
        path = TINY
    if path.is_file():
        return Folder(path.parent), path
    place: Place
    if path.is_dir():
        place = Folder(path)
    elif _is_repository(name):
        place = Hub(str(name), cache_dir)
    else:
        raise RequestError(_unknown(name))
    has_config = place.find(["config.json"]) is not None
    names = (
        WEIGHTS
        if has_config or place.find(["open_clip_config.json"]) is None
        else OPEN_CLIP_WEIGHTS
    )
    weights = place.find(names)
    if weights is None:
        raise place.missing([*names], "weights")
    return place, weights


def _is_repository(name: str | PathLike[str]) -> bool:
    """Whether a name that is no path here may be one of the hub: ``owner/name``."""
    owner, slash, repository = str(name).partition("/")
    return (
        isinstance(name, str)
        and name.lower() not in (known.lower() for known in CHECKPOINTS)
        and bool(owner.strip("~.") and slash and repository)
        and "/" not in repository
        and Path(name).suffix not in (".pt", ".pth", ".bin", ".safetensors")
    )


def _unknown(name: str | PathLike[str]) -> str:
    """What to say about a name that is nothing: the nearest known one, if any is near."""
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


def full_name(name: str | PathLike[str]) -> str:
    """The name under which the checkpoint is found again, from any working directory."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name != "tiny" and path.exists() else str(name)
