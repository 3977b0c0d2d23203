"""The folder of a run: what was asked for, what it depends on, and the classifier in the end."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crossprompt.data.dataset import Dataset
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.training.checkpoint import clear, differences
from crossprompt.utils import distributed
from crossprompt.utils.files import atomic_write

RUN, SELECTION = "run.json", "selection.json"
LIBRARIES = ("crossprompt", "torch", "numpy", "pillow", "scikit-learn")
"""Whose versions may change the last bits of a result."""
_LISTED = 10


def library_versions() -> dict[str, str]:
    """Of ``LIBRARIES`` and Python, as a run and a line of a benchmark keep them."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


@dataclass(frozen=True)
class RunFolder:
    """A folder in which a run may begin or go on; see ``open_run``."""

    path: Path
    """Where it is."""
    goes_on: bool
    """Whether it holds a run that is to be finished."""

    @property
    def finished(self) -> bool:
        """Whether that run has a classifier already."""
        return self.goes_on and (self.path / DESCRIPTION).exists()

    def begin(self, job: Any, settings: Mapping[str, Any], data: Dataset | None) -> list[str]:
        """Write what is needed to repeat the run; if it goes on, compare with what is there.

        Args:
            job: what was asked for, a dataclass.
            settings: plain values that the result depends on.
            data: with the few-shot selection; None where it is kept elsewhere.

        Returns:
            Sentences for the user.

        Raises:
            RequestError: the run was begun with other settings.
        """
        run = {
            "job": asdict(job),
            "working_directory": os.getcwd(),
            "versions": library_versions(),
            "settings": settings,
        }
        run = json.loads(json.dumps(run))  # as it is when read again
        if self.goes_on:
            return self._compare(run)
        if distributed.rank() == 0:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RequestError(
                    f"cannot make the run folder {self.path} ({error.strerror}); choose another "
                    "--output"
                ) from error
            # first of all, so that a new run can never be taken for what an older one left
            for name in (DESCRIPTION, RUN, SELECTION):
                (self.path / name).unlink(missing_ok=True)
            clear(self.path)
            if data is not None and data.selection is not None:
                data.save_selection(self.path / SELECTION)
            text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
            atomic_write(self.path / RUN, lambda partial: partial.write_text(text, "utf-8"))
        return []

    def _compare(self, run: Mapping[str, Any]) -> list[str]:
        earlier = read_run(self.path)
        was, now = (dict(settings) for settings in (earlier["settings"], run["settings"]))
        same_data = was.pop("data", None) == now.pop("data", None)
        if changed := list(differences(was, now)):
            more = [f"and {len(changed) - _LISTED} more"] * (len(changed) > _LISTED)
            raise RequestError(
                f"{self.path} was begun with other settings: "
                f"{'; '.join([*changed[:_LISTED], *more])}; resume it with those it was begun "
                "with, or start afresh with --overwrite"
            )
        if not same_data:
            raise RequestError(
                f"the images are not those that {self.path} was begun with: their names, number, "
                "labels or contents differ; resume it with those, or start afresh with --overwrite"
            )
        if newer := list(differences(earlier["versions"], run["versions"])):
            return [f"other versions than when the run began, so bits may differ: {newer[0]}"]
        return []


def open_run(path: Path, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """A run's folder, nothing in which is changed yet.

    Args:
        path: the folder, which need not exist.
        resume: go on with the run in it; without one, begin.
        overwrite: replace what is in it.

    Raises:
        RequestError: it holds a run or a classifier and nothing was said of that, or no folder can
            be there.
    """
    if path.exists() and not path.is_dir():
        raise RequestError(f"{path} is a file; give a folder for the run with --output")
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RequestError(f"cannot make the run folder {path} in {there}; choose another --output")
    found = [name for name in (RUN, DESCRIPTION) if (path / name).exists()]
    if overwrite or not found:
        return RunFolder(path, goes_on=False)
    if not resume:
        raise RequestError(
            f"{path} holds a run already ({found[0]}); go on with it by --resume, replace it by "
            "--overwrite, or choose another --output"
        )
    if RUN not in found:
        raise RequestError(
            f"{path} holds a classifier but no {RUN}, so there is no run to resume; replace it by "
            "--overwrite, or choose another --output"
        )
    return RunFolder(path, goes_on=True)


def read_run(path: Path) -> dict[str, Any]:
    """What ``RunFolder.begin`` wrote.

    Raises:
        RequestError: it is damaged.
    """
    try:
        run = json.loads((path / RUN).read_text("utf-8"))
        if all(isinstance(run[key], dict) for key in ("job", "versions", "settings")):
            return dict(run)
        reason = "it lacks job, versions or settings"
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error)
    raise RequestError(f"{path / RUN} is damaged ({reason}); start afresh with --overwrite")
