"""The whole job: data in, classifier out, in a run folder that can be killed and resumed."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from crossprompt import distributed
from crossprompt.artifact import DESCRIPTION
from crossprompt.classifier import Classifier, freeze
from crossprompt.clip.model import CLIP
from crossprompt.clip.weights import load_clip
from crossprompt.data.items import Dataset
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.evaluate import Result, evaluate
from crossprompt.methods import Method, build_method, find_method
from crossprompt.state import replace_file
from crossprompt.train import StepReport, TrainConfig, describe, train

RUN = "run.json"
SELECTION = "selection.json"


class Reporter(Protocol):
    """Who is told how the job goes: a terminal, a log, or nobody."""

    def say(self, text: str) -> None:
        """A sentence for the user."""

    def count(self, what: str) -> Callable[[int, int], None]:
        """A counter to call with (done, in all)."""

    def step(self, report: StepReport) -> None:
        """A training step is done."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def count(self, what: str) -> Callable[[int, int], None]:
        """Nothing."""
        return lambda done, total: None

    def step(self, report: StepReport) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Job:
    """What to fit on what; everything that the result depends on."""

    data: str
    """Name of a data set, a folder or a CSV file."""
    method: str = "dcp"
    """One of ``METHODS``."""
    backbone: str = "tiny"
    """What ``load_clip`` takes."""
    shots: int | None = 16
    """Training images per class; None uses all."""
    seed: int = 1
    """Of the few-shot draw, the start values and the order of the images."""
    root: str | None = None
    """Folder that holds the data set."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    training: dict[str, Any] = field(default_factory=dict)
    """Settings of the training."""
    class_names: str | None = None
    """File with class names."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read."""
    device: str = "auto"
    """Where to compute."""
    dtype: str = "auto"
    """What the frozen towers compute in."""


def fit(
    job: Job,
    output: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Classifier, dict[str, Result]]:
    """Do a job.

    Args:
        job: what to do.
        output: run folder; nothing is kept without one.
        resume: go on where the run folder's job was interrupted.
        overwrite: replace what is in the run folder.
        reporter: told how it goes.

    Returns:
        The classifier, and its result on every test set that the data has.

    Raises:
        RequestError: the request is wrong, or the folder holds another run.
        JobError: the training failed; what was good is kept.
    """
    find_method(job.method)  # a wrong name is told before any work
    if output is not None and not (resume or overwrite):
        refuse_to_replace(output)
    names = {} if job.class_names is None else {"class_names": job.class_names}
    data = load_dataset(job.data, root=job.root, **names)
    return fit_data(job, data, output, resume=resume, reporter=reporter)


def fit_data(
    job: Job,
    data: Dataset,
    output: Path | None = None,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Classifier, dict[str, Result]]:
    """Do a job on data that is loaded already; see ``fit``."""
    reporter = reporter or Silent()
    training = TrainConfig.of({"seed": job.seed, **job.training}, "train")
    device = distributed.join() or job.device
    data = prepare_data(job, data, reporter)
    clip = load_clip(job.backbone, device=device, dtype=job.dtype)
    method = build_for(job, clip, data)
    if output is not None and distributed.rank() == 0:
        write_run(output, describe_job(job, clip, method, data), resume)
        if data.selection is not None:
            data.save_selection(output / SELECTION)
    distributed.wait()
    reports = train(
        method,
        clip,
        data.train,
        training,
        val=data.val,
        folder=output,
        resume=resume,
        on_step=reporter.step,
    )
    about = {
        "data": {"name": data.name, "fingerprint": data.fingerprint, "shots": job.shots},
        "training": {**training.to_json(), **describe(reports)},
    }
    classifier = freeze(method, clip, data.train, val=data.val, seed=job.seed, information=about)
    results: dict[str, Result] = {}
    if distributed.rank() == 0:
        results = measure(classifier, data, reporter)
        classifier.information["metrics"] = {
            f"{name} {key}": value
            for name, result in results.items()
            for key, value in (("accuracy", result.accuracy), ("macro F1", result.macro_f1))
        }
        if output is not None:
            classifier.save(output)
    distributed.wait()
    return classifier, results


def prepare_data(job: Job, data: Dataset, reporter: Reporter) -> Dataset:
    """Draw the few shots, and read every image once."""
    if job.shots is not None:
        data = data.few_shot(job.shots, job.seed)
    data = data.checked(job.skip_bad_images, reporter.count("Checking images"))
    for note in data.notes:
        reporter.say(f"note: {note}")
    return data


def build_for(job: Job, clip: CLIP, data: Dataset) -> Method:
    """The job's method; a setting called ``template`` comes from the data unless the user sets
    it."""
    settings = {setting.name for setting in find_method(job.method).Config.describe()}
    options = {"template": (data.template,)} if "template" in settings else {}
    return build_method(
        job.method, clip, data.class_names, seed=job.seed, **{**options, **job.options}
    )


def measure(classifier: Classifier, data: Dataset, reporter: Reporter) -> dict[str, Result]:
    """Evaluate on the test split and every shifted one; empty splits are left out."""
    tests = {"test": data.test, **data.shifted}
    return {
        name: evaluate(classifier, split, progress=reporter.count(f"Evaluating on {name}"))
        for name, split in tests.items()
        if split
    }


def describe_job(job: Job, clip: CLIP, method: Method, data: Dataset) -> dict[str, Any]:
    """Everything needed to repeat a run."""
    return {
        "job": asdict(job),
        "config": method.config.to_json(),
        "weights": clip.weights_hash,
        "dtype": str(clip.dtype).removeprefix("torch."),
        "processes": distributed.processes(),
        "fingerprint": data.fingerprint,
        "class_names": list(data.class_names),
        "versions": {name: version(name) for name in ("crossprompt", "torch")},
    }


def refuse_to_replace(output: Path) -> None:
    """Raise ``RequestError`` if the folder holds a run already."""
    for name in (RUN, DESCRIPTION):
        if (output / name).exists():
            raise RequestError(
                f"{output} holds a run already ({name}); go on with it by --resume, replace it by "
                "--overwrite, or choose another --output"
            )


def write_run(output: Path, run: dict[str, Any], resume: bool) -> None:
    """Write ``run.json``; on resuming, compare with what is there instead."""
    path = output / RUN
    if resume and path.exists():
        try:
            earlier = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise RequestError(
                f"{path} is damaged ({error}); start afresh with --overwrite"
            ) from error
        changed = [key for key in run if key != "versions" and earlier.get(key) != run[key]]
        if "job" in changed:
            jobs = earlier.get("job", {}), run["job"]
            changed += [f"job.{key}" for key in jobs[1] if jobs[0].get(key) != jobs[1][key]]
        if changed:
            raise RequestError(
                f"{output} was started with other settings ({', '.join(changed)}); resume with those in "
                f"{path}, or start afresh with --overwrite"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    (output / DESCRIPTION).unlink(missing_ok=True)
    text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda partial: partial.write_text(text, "utf-8"))


def default_output(job: Job) -> Path:
    """``runs/NAME-METHOD``."""
    name = Path(os.path.normpath(job.data)).stem or "data"
    return Path("runs") / f"{name}-{job.method}"
