"""Training checkpoints, written atomically after every epoch; a run resumes from the last one.

First the file (``Checkpoint``) and the mean over epochs that it also holds (``Averaging``), then
the record of everything that a result depends on: a run with another record is not resumed.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.heads import check_tensors
from crossprompt.utils import distributed
from crossprompt.utils.files import atomic_write
from crossprompt.utils.progress import EpochReport
from crossprompt.utils.text import one_line

STATE, LOG = "state.safetensors", "log.jsonl"


class Averaging:
    """Weighted mean of the parameters over the epochs; see ``Method.epoch_weights``."""

    def __init__(self, method: Method, epochs: int) -> None:
        self.method = method
        self.weights = method.epoch_weights(epochs)
        self.total: dict[str, Tensor] = {}
        """Weighted sum so far; empty without weights."""

    def add(self, epoch: int) -> None:
        """Add the parameters after an epoch, counted from 1."""
        if self.weights is None:
            return
        weight = self.weights[epoch - 1]
        for name, parameter in self.method.named_parameters():
            part = weight * parameter.detach()
            self.total[name] = self.total[name] + part if name in self.total else part

    def restore(self, total: Mapping[str, Tensor]) -> None:
        """Continue from the sum of an interrupted training; ``ValueError`` if it does not fit."""
        parameters = {} if self.weights is None else dict(self.method.named_parameters())
        check_tensors(total, {name: tuple(x.shape) for name, x in parameters.items()})
        self.total = {name: total[name].to(x.device) for name, x in parameters.items()}

    @torch.no_grad()
    def finish(self) -> None:
        """Set the parameters to their mean, where there are weights."""
        for name, total in self.total.items():
            self.method.get_parameter(name).copy_(total)


@dataclass
class Checkpoint:
    """Parameters, optimizer state and reports of the last finished epoch, in one file."""

    folder: Path | None
    """Folder of the file; None to write nothing."""
    method: nn.Module
    """Method, or a module of several, that is trained."""
    optimizer: torch.optim.Optimizer
    """Optimizer of the method's trainable parameters."""
    record: Mapping[str, Any]
    """See ``build_record`` and ``refer_to``; a checkpoint with another record is refused."""
    averaging: Averaging | None = None
    """Mean of the parameters over the epochs, if any."""

    def begin(self, resume: bool) -> list[EpochReport]:
        """Load the last checkpoint, or remove what an earlier training left.

        Returns:
            The reports of the finished epochs.

        Raises:
            RequestError: the checkpoint is damaged or of another training.
        """
        if self.folder is None:
            return []
        path = self.folder / STATE
        if resume and path.exists():
            reports = self._load(path)
            self._write_log(reports)  # its last line is missing if the process died before it
            return reports
        if distributed.rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (STATE, LOG):
                (self.folder / name).unlink(missing_ok=True)
        return []

    def save(self, reports: Sequence[EpochReport]) -> None:
        """Write the checkpoint and the log of the finished epochs."""
        if self.folder is None or distributed.rank() != 0:
            return
        tensors = {f"method.{key}": value for key, value in self.method.state_dict().items()}
        if self.averaging is not None:
            tensors |= {f"average.{key}": value for key, value in self.averaging.total.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            for slot, value in slots.items():
                tensors[f"optimiser.{index}.{slot}"] = torch.as_tensor(value)
        tensors = {key: value.detach().contiguous() for key, value in tensors.items()}
        lines = [asdict(report) for report in reports]
        metadata = {"reports": json.dumps(lines), "settings": json.dumps(self.record)}
        # not save_file, which lets nobody but the user read the file, whatever the umask
        data = to_bytes(tensors, metadata=metadata)
        atomic_write(self.folder / STATE, lambda path: path.write_bytes(data))
        self._write_log(reports)

    def _write_log(self, reports: Sequence[EpochReport]) -> None:
        if self.folder is not None and distributed.rank() == 0:
            text = "".join(json.dumps(asdict(report)) + "\n" for report in reports)
            atomic_write(self.folder / LOG, lambda path: path.write_text(text, "utf-8"))

    def _load(self, path: Path) -> list[EpochReport]:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 no mapping
                metadata = file.metadata()
            reports = [EpochReport(**line) for line in json.loads(metadata["reports"])]
            check_record(path, json.loads(metadata["settings"]), self.record)
            self._restore(tensors)
        except RequestError:  # another record
            raise
        except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError, OSError) as error:
            raise RequestError(
                f"{path} is damaged or of another training ({one_line(error)}); start afresh with "
                "--overwrite (resume=False)"
            ) from error
        return reports

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"method": {}, "average": {}, "optimiser": {}}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimiser"].items():
            index, slot = key.split(".", 1)
            slots.setdefault(int(index), {})[slot] = value
        self.method.load_state_dict(parts["method"], strict=True)
        if self.averaging is not None:
            self.averaging.restore(parts["average"])
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})


LIBRARIES = ("crossprompt", "torch", "numpy", "pillow", "scikit-learn")
"""Libraries whose versions may change the last bits of a result."""
MOST = 10
"""Differences, at most, that an error lists."""


def library_versions() -> dict[str, str]:
    """Versions of ``LIBRARIES`` and Python."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def build_record(
    method: Method, clip: CLIP, recipe: Recipe, seed: int, **more: Any
) -> dict[str, Any]:
    """Collect everything that a bit-identical result depends on, as plain values.

    Activation checkpointing is left out: it changes no bit (texts in parts agree to rounding), and
    a run may be resumed on a machine with less memory.
    """
    record = {
        "method": method.name,
        "config": method.config.to_json(),
        "seed": seed,
        "training": recipe_to_json(recipe, seed),
        "class_names": list(method.class_names),
        "weights": clip.weights_hash,
        "dtype": str(clip.dtype).removeprefix("torch."),
        "device": clip.device.type,
        "processes": distributed.processes(),
        **more,
    }
    return _as_json(record)


def recipe_to_json(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Every setting of a training; only the seed where nothing is trained by gradient."""
    if not recipe.epochs:
        return {"epochs": 0, "seed": seed}
    # files have the key "optimiser" since format 1
    settings = {("optimiser" if k == "optimizer" else k): x for k, x in asdict(recipe).items()}
    return {**settings, "seed": seed}


def refer_to(record: Mapping[str, Any]) -> dict[str, str]:
    """A record's hash: stands for it in the checkpoint of a run whose ``run.json`` holds it."""
    canonical = json.dumps(_as_json(record), sort_keys=True)
    return {"record": hashlib.sha256(canonical.encode()).hexdigest()}


def check_record(place: object, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare the record of a run that is to be resumed with that of the present one.

    Raises:
        RequestError: they differ.
    """
    was, present = dict(earlier), _as_json(now)
    if was.keys() != present.keys():
        raise RequestError(
            f"{place} is of another kind of training, or written by another version; start afresh "
            "with --overwrite (resume=False)"
        )
    same_data = was.pop("data", None) == present.pop("data", None)  # hashes, of no use to a reader
    changed = list(differences(was, present))
    if not same_data:
        changed.insert(0, "the images' names, number, labels or contents")
    if changed:
        more = [f"and {len(changed) - MOST} more"] * (len(changed) > MOST)
        raise RequestError(
            f"{place} was begun with something else: {'; '.join([*changed[:MOST], *more])}; resume "
            "it with what it was begun with, or start afresh with --overwrite (resume=False)"
        )


def differences(was: Any, now: Any, name: str = "") -> Iterator[str]:
    """List the differences of two trees of plain values, for example ``lr 0.002, now 0.01``."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*was, *now)):
            yield from differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        before, after = (json.dumps(value, ensure_ascii=False) for value in (was, now))
        yield f"{name} {before:.30}, now {after:.30}"


def _as_json(record: Mapping[str, Any]) -> Any:
    """A record as it is read again, with lists for tuples."""
    return json.loads(json.dumps(record))
