"""Opens a checkpoint file (safetensors, state dict, TorchScript): shapes first, tensors on request.

Nothing is unpickled without ``weights_only=True``; ``torch.jit.load``, which OpenAI's archives
need, unpickles no Python.
"""

import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from crossprompt.clip.key_maps import HUGGING_FACE, OPENAI, OPENAI_SIZES, Table
from crossprompt.errors import RequestError

SHOWN = 5
"""Keys that an error lists before it counts the rest."""


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    """Key to shape, known before any tensor is read."""
    read: Callable[[str], Tensor]
    """Reads one tensor to the CPU, in the file's dtype."""
    torchscript: bool = False
    """True for a TorchScript archive, the form in which OpenAI published its weights."""

    @property
    def table(self) -> Table:
        """The table of the file's keys; ``RequestError`` if it holds no CLIP."""
        if any(key.startswith(("text_model.", "vision_model.")) for key in self.shapes):
            return HUGGING_FACE
        if any(key.startswith("visual.") for key in self.shapes):
            return OPENAI
        raise RequestError(
            f"{self.path} holds no CLIP: found {_listed(self.shapes) or 'no tensors'}; expected "
            "the keys of transformers' CLIPModel (vision_model.…), of openai/CLIP or of open_clip "
            "(visual.…)"
        )

    @property
    def by_openai(self) -> bool:
        """True for OpenAI's own files, whose activation is QuickGELU."""
        return self.torchscript or not OPENAI_SIZES.isdisjoint(self.shapes)

    def check(self, expected: Mapping[str, tuple[int, ...]], ignored: Iterable[str]) -> None:
        """Raise ``RequestError`` naming the keys that are missing, unexpected or of wrong shape."""
        found = {key: shape for key, shape in self.shapes.items() if key not in set(ignored)}
        problems = {
            "missing": [key for key in expected if key not in found],
            "unexpected": [key for key in found if key not in expected],
            "wrong shape": [
                f"{key} {found[key]} instead of {shape}"
                for key, shape in expected.items()
                if key in found and found[key] != shape
            ],
        }
        if any(problems.values()):
            text = "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)
            raise RequestError(
                f"{self.path} does not fit its model: {text}; get the checkpoint again, or the "
                "config that belongs to it"
            )


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a file by its content, not by its name.

    Args:
        path: safetensors, a state dict written by ``torch.save`` or a TorchScript archive.

    Raises:
        RequestError: the file is damaged or none of these.
    """
    with path.open("rb") as file:
        start = file.read(16)
    try:
        if start[8:9] == b"{":  # eight bytes of length, then JSON
            return _open_safetensors(path)
        torchscript = _is_torchscript(path)
        state = _load_torchscript(path) if torchscript else _load_pickle(path)
    except Exception as error:  # a damaged file can fail in any way
        # torch's message is about its loader then, not about the file
        silent = isinstance(error, (UnpicklingError, KeyError))
        reason = "" if silent else str(error).strip().partition("\n")[0]
        raise RequestError(
            f"{path} is not a checkpoint, or is damaged{f' ({reason})' if reason else ''}; "
            "expected safetensors, a PyTorch state dict or OpenAI's TorchScript archive; get the "
            "file again"
        ) from error
    return _from_state(path, state, torchscript)


def _open_safetensors(path: Path) -> Checkpoint:
    file = safe_open(path, framework="pt", device="cpu")
    shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 not a mapping
    return Checkpoint(path, shapes, file.get_tensor)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _load_torchscript(path: Path) -> Any:
    with warnings.catch_warnings():
        # TorchScript is deprecated, the archives stay what they are
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(path), map_location="cpu").state_dict()


def _load_pickle(path: Path) -> Any:
    mmap = zipfile.is_zipfile(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def _from_state(path: Path, state: Any, torchscript: bool) -> Checkpoint:
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # open_clip's training checkpoints also hold the optimizer
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise RequestError(
            f"{path} holds no state dict; expected names and tensors, as torch.save writes them"
        )
    if state and all(key.startswith("module.") for key in state):  # saved from several processes
        state = {key.removeprefix("module."): value for key, value in state.items()}
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return Checkpoint(path, shapes, state.__getitem__, torchscript)


def _listed(keys: Iterable[str]) -> str:
    """The first few keys, and how many more there are."""
    keys = list(keys)
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
