"""Folder of a run: its config and record (run.json), checkpoint, log and finally its classifier."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from crossprompt.data.dataset import Dataset
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.training.checkpoint import clear
from crossprompt.training.record import check_record, differences, library_versions, plain
from crossprompt.utils import distributed
from crossprompt.utils.files import atomic_write, make_folder
from crossprompt.utils.json_file import read_json

RUN, SELECTION = "run.json", "selection.json"


class RunFile(msgspec.Struct):
    """Content of ``run.json``."""

    job: dict[str, Any]
    """Config of the run."""
    settings: dict[str, Any]
    """Record; see ``build_record``."""
    versions: dict[str, str]
    working_directory: str = ""


@dataclass(frozen=True)
class RunFolder:
    """A folder in which a run begins or resumes; see ``open_run``."""

    path: Path
    resumes: bool
    """True if it holds a run that is to be continued."""

    @property
    def finished(self) -> bool:
        """True if the run that resumes has its classifier already."""
        return self.resumes and (self.path / DESCRIPTION).exists()

    def begin(self, config: Any, record: Mapping[str, Any], data: Dataset | None) -> list[str]:
        """Write ``run.json``; if the run resumes, compare the record with the one that is there.

        Returns:
            Notes for the user.

        Raises:
            RequestError: the run was begun with other settings or images.
        """
        run = RunFile(
            plain(asdict(config)), plain(record), library_versions(), working_directory=os.getcwd()
        )
        if self.resumes:
            earlier = read_run(self.path)
            check_record(self.path, earlier.settings, run.settings)
            newer = list(differences(earlier.versions, run.versions))
            return [f"versions differ from the run's, so bits may too: {newer[0]}"] if newer else []
        if distributed.rank() == 0:
            make_folder(self.path)
            # first of all, so that a new run can never be taken for what an older one left
            for name in (DESCRIPTION, RUN, SELECTION):
                (self.path / name).unlink(missing_ok=True)
            clear(self.path)
            if data is not None and data.selection is not None:
                data.save_selection(self.path / SELECTION)
            text = msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"
            atomic_write(self.path / RUN, lambda partial: partial.write_bytes(text))
        return []


def open_run(path: Path, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """Inspect a run's folder; nothing in it is changed yet.

    Raises:
        RequestError: it holds a run or a classifier and neither ``resume`` nor ``overwrite`` was
            given, or no folder can be there.
    """
    if path.exists() and not path.is_dir():
        raise RequestError(f"{path} is a file; give a folder for the run with --output")
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RequestError(f"cannot make the run folder {path} in {there}; choose another --output")
    found = [name for name in (RUN, DESCRIPTION) if (path / name).exists()]
    if overwrite or not found:
        return RunFolder(path, resumes=False)
    if not resume:
        raise RequestError(
            f"{path} holds a run already ({found[0]}); continue it by --resume, replace it by "
            "--overwrite, or choose another --output"
        )
    if RUN not in found:
        raise RequestError(
            f"{path} holds a classifier but no {RUN}, so there is no run to resume; replace it by "
            "--overwrite, or choose another --output"
        )
    return RunFolder(path, resumes=True)


def read_run(path: Path) -> RunFile:
    """Read ``run.json`` of a run's folder.

    Raises:
        RequestError: it is damaged.
    """
    return read_json(path / RUN, RunFile, "start afresh with --overwrite")
