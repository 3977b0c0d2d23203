"""The whole run: ``fit`` loads data, trains, freezes, evaluates and saves.

First the run and its two ends (``resolve``, ``finish``), then the folder in which it can be killed
and resumed (``open_run``, ``RunFolder``).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.evaluate import Result, evaluate
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset
from crossprompt.data.held_out import describe_data, hash_all
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.training.checkpoint import (
    LOG,
    STATE,
    check_record,
    differences,
    library_versions,
    refer_to,
)
from crossprompt.training.config import FitConfig, Run
from crossprompt.training.train import train_run
from crossprompt.utils import distributed
from crossprompt.utils.files import atomic_write, make_folder, read_json
from crossprompt.utils.progress import NOTE, EpochReport, Reporter, Silent

RUN, SELECTION = "run.json", "selection.json"

ONE_PROCESS = (
    "accelerate launch has started one process, as it does on a CPU unless told otherwise; for "
    "several: accelerate launch --multi_gpu --num_processes N -m crossprompt fit …"
)
ONE_EPOCH = (
    "the first epoch of this recipe is a warm-up at a learning rate near 0, so that one alone "
    "trains next to nothing; set --epochs to 2 or more"
)


def fit(
    config: FitConfig,
    output: Path | None = None,
    *,
    data: Dataset | None = None,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Classifier, dict[str, Result]]:
    """Load the data, train, freeze, evaluate and save.

    Args:
        config: of the run.
        output: run folder; None to write nothing.
        data: the data set, where it is loaded already; by default the one that the config names.
        resume: continue the run in the folder.
        overwrite: replace what is in the folder.
        reporter: receives notes and progress.

    Returns:
        The classifier, and its result on every test set that the data has; on several processes
        only the first has results.

    Raises:
        RequestError: the request is wrong, or the folder holds another run.
        JobError: the training failed; the last good epoch is kept.
    """
    config.check()
    reporter = reporter or Silent()
    device = distributed.join(config.device)
    if distributed.launcher_started_one():
        reporter.say(f"{NOTE}{ONE_PROCESS}")
    folder = open_run(output, resume=resume, overwrite=overwrite)
    if output is not None and resume and not folder.resumes:
        reporter.say(f"{NOTE}{output} holds no run yet; it begins now")
    if folder.finished:
        reporter.say(f"{NOTE}the run in {output} is finished; it is only measured again")

    data = config.load_data() if data is None else data
    run = resolve(config, data, config.load_backbone(device), reporter)
    if run.recipe.epochs == 1 and run.recipe.schedule == "warm-up-cosine":
        reporter.say(f"{NOTE}{ONE_EPOCH}")
    for note in folder.begin(config, run.record, run.data):
        reporter.say(f"{NOTE}{note}")
    referring = replace(run, record=refer_to(run.record))
    reports = train_run(
        referring, folder.path, folder.resumes, say=reporter.say, on_step=reporter.step
    )
    return finish(run, reports, folder.path, reporter)


def resolve(config: FitConfig, data: Dataset, clip: CLIP, reporter: Reporter) -> Run:
    """Draw the images and read each once, build the method, and record what the result depends on.

    Raises:
        RequestError: an image cannot be read, or a setting does not go with the images.
    """
    few = data if config.shots is None else data.few_shot(config.shots, config.seed)
    # before the images are read, which may take minutes: it may raise
    run = config.build_run(clip, data, few)
    readable = few.checked(config.skip_bad_images, reporter.count("Checking images"))
    if readable is not few:  # images are left out
        few, run = readable, config.build_run(clip, data, readable)
    for note in few.notes:
        reporter.say(f"{NOTE}{note}")
    counts = [f"{len(split):,} {name}" for name, split in few.splits.items() if split]
    reporter.say(f"{data.name}: {len(data.class_names)} classes; images: {', '.join(counts)}")
    about = describe_data(data, few)
    about["data"]["shots"] = config.shots
    identity = {**run.record["data"], "content": hash_all(about["learned_from"])}
    return replace(run, record={**run.record, "data": identity}, about_data=about)


def finish(
    run: Run,
    reports: Sequence[EpochReport],
    folder: Path | None,
    reporter: Reporter,
    **more: Any,
) -> tuple[Classifier, dict[str, Result]]:
    """Freeze a trained method, evaluate it on every test set of the data, and save it.

    Returns:
        The classifier, and its results on the first process.
    """
    of_training = {key: run.record[key] for key in ("seed", "dtype", "device", "processes")}
    loss = {"final_loss": reports[-1].loss} if reports else {}
    training = {**run.record["training"], **of_training, **loss}
    classifier = run.freeze({**run.about_data, "training": training, **more})
    if distributed.rank() != 0:
        return classifier, {}
    tests = {"test": run.data.test, **run.data.shifted}
    results = {
        name: evaluate(classifier, split, progress=reporter.count(f"Evaluating on {name}"))
        for name, split in tests.items()
        if split
    }
    classifier.information["metrics"] = {
        f"{name} {key}": value
        for name, result in results.items()
        for key, value in (("accuracy", result.accuracy), ("macro F1", result.macro_f1))
    }
    if folder is not None:
        classifier.save(folder)
    return classifier, results


class RunFile(msgspec.Struct):
    """Content of ``run.json``."""

    job: dict[str, Any]
    """Config of the run."""
    settings: dict[str, Any]
    """Record; see ``build_record``."""
    versions: dict[str, str]
    working_directory: str = ""


def read_run(path: Path) -> RunFile:
    """Read ``run.json`` of a run's folder; ``RequestError`` if it is damaged."""
    return read_json(path / RUN, RunFile, "start afresh with --overwrite")


@dataclass(frozen=True)
class RunFolder:
    """A folder in which a run begins or resumes; see ``open_run``."""

    path: Path | None
    """None to write nothing."""
    resumes: bool = False
    """True if it holds a run that is to be continued."""

    @property
    def finished(self) -> bool:
        """True if the run that resumes has its classifier already."""
        return self.path is not None and self.resumes and (self.path / DESCRIPTION).exists()

    def begin(self, config: Any, record: Mapping[str, Any], data: Dataset | None) -> list[str]:
        """Write ``run.json``; if the run resumes, compare the record with the one that is there.

        Returns:
            Notes for the user.

        Raises:
            RequestError: the run was begun with other settings or images.
        """
        if self.path is None:
            return []
        versions = library_versions()
        if self.resumes:
            earlier = read_run(self.path)
            check_record(self.path, earlier.settings, record)
            newer = list(differences(earlier.versions, versions))
            return [f"versions differ from the run's, so bits may too: {newer[0]}"] if newer else []
        distributed.wait()  # until all processes have looked into the folder, which now changes
        if distributed.rank() == 0:
            make_folder(self.path)
            # first of all, so that a new run can never be taken for what an older one left
            for name in (DESCRIPTION, RUN, SELECTION, STATE, LOG):
                (self.path / name).unlink(missing_ok=True)
            if data is not None and data.selection is not None:
                data.save_selection(self.path / SELECTION)
            run = RunFile(asdict(config), dict(record), versions, os.getcwd())
            text = msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"
            atomic_write(self.path / RUN, lambda partial: partial.write_bytes(text))
        distributed.wait()
        return []


def open_run(path: Path | None, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """Inspect a run's folder; nothing in it is changed yet.

    Raises:
        RequestError: it holds a run or a classifier and neither ``resume`` nor ``overwrite`` was
            given, or no folder can be there.
    """
    if path is None:
        return RunFolder(None)
    if path.exists() and not path.is_dir():
        raise RequestError(f"{path} is a file; give a folder for the run with --output")
    parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RequestError(
            f"cannot make the run folder {path} in {parent}; choose another --output"
        )
    found = [name for name in (RUN, DESCRIPTION) if (path / name).exists()]
    if overwrite or not found:
        return RunFolder(path)
    other = "replace it by --overwrite, or choose another --output"
    if not resume:
        raise RequestError(
            f"{path} holds a run already ({found[0]}); resume it by --resume, {other}"
        )
    if RUN not in found:
        raise RequestError(f"{path} holds a classifier but no {RUN}: nothing can resume; {other}")
    return RunFolder(path, resumes=True)
