"""What is kept of a training after each epoch, so that it can be killed at any moment and go on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from crossprompt.errors import RequestError
from crossprompt.methods.base import Method
from crossprompt.methods.heads import check_tensors
from crossprompt.utils import distributed
from crossprompt.utils.files import atomic_write
from crossprompt.utils.text import one_line


class Averaging:
    """Adds up the learned tensors epoch by epoch, each time with the method's weight of that epoch.

    Args:
        method: whose tensors they are.
        epochs: in all.
    """

    def __init__(self, method: Method, epochs: int) -> None:
        self.method = method
        self.weights = method.epoch_weights(epochs)
        self.total: dict[str, Tensor] = {}
        """Of the epochs that are done; empty where the last epoch alone counts."""

    def add(self, epoch: int) -> None:
        """Count the tensors as they are after an epoch, counted from 1."""
        if self.weights is None:
            return
        weight = self.weights[epoch - 1]
        for name, parameter in self.method.named_parameters():
            part = weight * parameter.detach()
            self.total[name] = self.total[name] + part if name in self.total else part

    def restore(self, total: Mapping[str, Tensor]) -> None:
        """Go on from the total of an interrupted training; ``ValueError`` if it is no such."""
        learned = {} if self.weights is None else dict(self.method.named_parameters())
        check_tensors(total, {name: tuple(x.shape) for name, x in learned.items()})
        self.total = {name: total[name].to(x.device) for name, x in learned.items()}

    @torch.no_grad()
    def finish(self) -> None:
        """Let the method hold the mean, where it wants one."""
        for name, total in self.total.items():
            self.method.get_parameter(name).copy_(total)


STATE, LOG = "state.safetensors", "log.jsonl"
_SHOWN = 30
"""Characters of a value that an error shows."""


class Checkpoint:
    """Learned tensors, optimizer and reports of the last finished epoch, in one file.

    Args:
        folder: where it is kept; None keeps nothing.
        method: what is trained.
        optimizer: over its parameters.
        settings: plain values that the result depends on; a state of other settings is refused.
        averaging: of the learned tensors over the epochs, where there is one.
    """

    def __init__(
        self,
        folder: Path | None,
        method: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: Mapping[str, Any],
        averaging: Averaging | None = None,
    ) -> None:
        self.folder, self.method, self.optimizer = folder, method, optimizer
        self.averaging = averaging
        self.settings = json.loads(json.dumps(settings))  # as they are when read again

    def begin(self, resume: bool) -> list[dict[str, Any]]:
        """Start afresh, or load the last state.

        Args:
            resume: load the last state, if there is one.

        Returns:
            The reports of the epochs that are done.

        Raises:
            RequestError: the state is damaged or of another training.
        """
        if self.folder is None:
            return []
        path = self.folder / STATE
        if resume and path.exists():
            reports = self._load(path)
            self._write_log(reports)  # the last line is missing if the process died before it
            return reports
        if distributed.rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear(self.folder)
        return []

    def keep(self, reports: Sequence[Any]) -> None:
        """Write the state after an epoch, then the log; each whole or not at all.

        Args:
            reports: a dataclass for each epoch so far.
        """
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
        about = {"reports": json.dumps(lines), "settings": json.dumps(self.settings)}
        # not save_file, which lets nobody but the user read the file, whatever the umask
        data = save(tensors, metadata=about)
        atomic_write(self.folder / STATE, lambda path: path.write_bytes(data))
        self._write_log(lines)

    def _write_log(self, reports: Sequence[Mapping[str, Any]]) -> None:
        if self.folder is None or distributed.rank() != 0:
            return
        text = "".join(json.dumps(report) + "\n" for report in reports)
        atomic_write(self.folder / LOG, lambda path: path.write_text(text, "utf-8"))

    def _load(self, path: Path) -> list[dict[str, Any]]:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 no mapping
                about = file.metadata()
            reports: list[dict[str, Any]] = json.loads(about["reports"])
            settings = json.loads(about["settings"])
            if not (changed := list(differences(settings, self.settings))):
                self._restore(tensors)
        except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError, OSError) as error:
            reason = one_line(error)
            raise RequestError(
                f"{path} is damaged or no state of this training ({reason}); start afresh with "
                "--overwrite (resume=False)"
            ) from error
        if changed:
            raise RequestError(
                f"{path} is the state of another training ({', '.join(changed)}); resume with the "
                "settings it was started with, or start afresh with --overwrite (resume=False)"
            )
        return reports

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        learned: dict[str, Tensor] = {}
        total: dict[str, Tensor] = {}
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            if part == "method":
                learned[name] = value
            elif part == "average":
                total[name] = value
            else:
                index, slot = name.split(".", 1)
                slots.setdefault(int(index), {})[slot] = value
        self.method.load_state_dict(learned, strict=True)
        if self.averaging is not None:
            self.averaging.restore(total)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})


def clear(folder: Path) -> None:
    """Remove what a training has left in a folder."""
    for name in (STATE, LOG):
        (folder / name).unlink(missing_ok=True)


def differences(was: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two trees of plain values, for example ``lr 0.002, now 0.01``."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*was, *now)):
            yield from differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        yield f"{name} {_shown(was)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
