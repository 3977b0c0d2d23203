"""What is kept of a training after each epoch, so that it can be killed at any moment and go on."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from crossprompt import distributed
from crossprompt.errors import RequestError

STATE, LOG = "state.safetensors", "log.jsonl"


class TrainingState:
    """Learned tensors, optimiser and reports of the last finished epoch, in one file that is
    replaced as a whole.

    Args:
        folder: where it is kept; None keeps nothing.
        method: what is trained.
        optimiser: over its parameters.
    """

    def __init__(
        self, folder: Path | None, method: nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        self.folder, self.method, self.optimiser = folder, method, optimiser

    def begin(self, resume: bool) -> list[dict[str, Any]]:
        """Start afresh, or load the last state.

        Returns:
            The reports of the epochs that are done.

        Raises:
            RequestError: the state is damaged or of another training.
        """
        if self.folder is None:
            return []
        if resume and (self.folder / STATE).exists():
            return self._load(self.folder / STATE)
        if distributed.rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / STATE).unlink(missing_ok=True)
            (self.folder / LOG).unlink(missing_ok=True)
        return []

    def keep(self, reports: Sequence[Any]) -> None:
        """Write the state after an epoch, then the log; both whole or not at all."""
        if self.folder is None or distributed.rank() != 0:
            return
        tensors = {
            f"method.{k}": v.detach().contiguous() for k, v in self.method.state_dict().items()
        }
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()
            }
        lines = [json.dumps(asdict(report)) for report in reports]
        replace_file(
            self.folder / STATE,
            lambda path: save_file(tensors, path, metadata={"reports": "\n".join(lines)}),
        )
        replace_file(
            self.folder / LOG, lambda path: path.write_text("\n".join(lines) + "\n", "utf-8")
        )

    def _load(self, path: Path) -> list[dict[str, Any]]:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                reports = [json.loads(line) for line in file.metadata()["reports"].splitlines()]
            self._restore(tensors)
        except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError, OSError) as error:
            raise RequestError(
                f"{path} is not a state of this training ({error}); run without --resume to start afresh"
            ) from error
        return reports

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        learned, slots = {}, {}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            if part == "method":
                learned[name] = value
            else:
                index, slot = name.split(".", 1)
                slots.setdefault(int(index), {})[slot] = value
        self.method.load_state_dict(learned, strict=True)
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": slots})


def replace_file(path: Path, write: Any) -> None:
    """Write a file under another name and move it into place, so that it is never seen half
    written."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
