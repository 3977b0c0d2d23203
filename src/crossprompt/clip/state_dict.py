"""Open a checkpoint file (safetensors, state dict, TorchScript): shapes first, tensors when asked.

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
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crossprompt.clip.key_maps import HUGGING_FACE, OPENAI, OPENAI_SIZES, Table
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed

SHOWN = 5
"""Keys an error lists before it counts the rest."""


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor, known before any is read."""
    read: Callable[[str], Tensor]
    """One tensor, on the CPU, in the file's dtype."""
    torchscript: bool = False
    """Whether the file is a TorchScript archive, the form in which OpenAI published its weights."""

    @property
    def table(self) -> Table:
        """What the file calls the parameters; ``RequestError`` if it holds no CLIP."""
        if any(key.startswith(("text_model.", "vision_model.")) for key in self.shapes):
            return HUGGING_FACE
        if any(key.startswith("visual.") for key in self.shapes):
            return OPENAI
        found = listed(self.shapes, SHOWN, str) or "no tensors"
        raise RequestError(
            f"{self.path} holds no CLIP: found {found}; expected the "
            "keys of transformers' CLIPModel (vision_model.…), of openai/CLIP or of open_clip "
            "(visual.…)"
        )

    @property
    def by_openai(self) -> bool:
        """Whether the file is one of OpenAI's own, whose activation is QuickGELU."""
        return self.torchscript or not OPENAI_SIZES.isdisjoint(self.shapes)

    def check(self, expected: Mapping[str, tuple[int, ...]], ignored: Iterable[str]) -> None:
        """Raise ``RequestError`` naming the keys that are missing, unexpected or of wrong shape."""
        found = {key: shape for key, shape in self.shapes.items() if key not in set(ignored)}
        wrong = [
            f"{key} {tuple(found[key])} instead of {tuple(shape)}"
            for key, shape in expected.items()
            if key in found and tuple(found[key]) != tuple(shape)
        ]
        problems = {
            "missing": [key for key in expected if key not in found],
            "unexpected": [key for key in found if key not in expected],
            "wrong shape": wrong,
        }
        if any(problems.values()):
            words = "; ".join(
                f"{kind}: {listed(keys, SHOWN, str)}" for kind, keys in problems.items() if keys
            )
            raise RequestError(
                f"{self.path} does not fit its model: {words}; get the checkpoint again, or the "
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
    if start[8:9] == b"{":  # eight bytes of length, then JSON
        return _open_safetensors(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return _open_torchscript(path)
    return _open_pickle(path)


def _open_safetensors(path: Path) -> Checkpoint:
    try:
        file = safe_open(path, framework="pt", device="cpu")
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 not a mapping
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    return Checkpoint(path, shapes, file.get_tensor)


def _open_torchscript(path: Path) -> Checkpoint:
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated, the archives stay what they are
            warnings.simplefilter("ignore", DeprecationWarning)
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
    except RuntimeError as error:
        raise _damaged(path, error) from error
    return _from_state(path, state, torchscript=True)


def _open_pickle(path: Path) -> Checkpoint:
    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # a damaged pickle can fail in any way
        raise _damaged(path, error) from error
    return _from_state(path, state, torchscript=False)


def _from_state(path: Path, state: Any, torchscript: bool) -> Checkpoint:
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # open_clip's training checkpoints also hold the optimizer
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise RequestError(
            f"{path} holds no state dict; expected names and tensors, as torch.save writes them"
        )
    if state and all(key.startswith("module.") for key in state):  # saved from several processes
        state = {key.removeprefix("module."): value for key, value in state.items()}
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return Checkpoint(path, shapes, state.__getitem__, torchscript)


def _damaged(path: Path, error: Exception) -> RequestError:
    # torch's own words are about its loader, not about the file
    torch_says = isinstance(error, (UnpicklingError, KeyError))
    reason = "" if torch_says else str(error).strip().partition("\n")[0]
    found = f" ({reason})" if reason else ""
    return RequestError(
        f"{path} is not a checkpoint, or is damaged{found}; expected safetensors, a PyTorch "
        "state dict or OpenAI's TorchScript archive; get the file again"
    )
