"""The whole job: data in, classifier out, in a run folder that can be killed and resumed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.evaluate import Result, evaluate
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset
from crossprompt.data.held_out import describe_data, hash_all
from crossprompt.methods import Method, find_method
from crossprompt.methods.base import Recipe
from crossprompt.training.batches import share_of
from crossprompt.training.config import FitConfig, describe_computation, describe_recipe
from crossprompt.training.run_folder import RunFolder, open_run
from crossprompt.training.train import count_shots, train
from crossprompt.utils import distributed
from crossprompt.utils.progress import NOTE, EpochReport, Reporter, Silent

ONE_PROCESS = (
    "accelerate launch has started one process, as it does on a CPU unless told otherwise; for "
    "several: accelerate launch --multi_gpu --num_processes N -m crossprompt fit …"
)
"""Said to who asked for more."""
ONE_EPOCH = (
    "the first epoch of this recipe is a warm-up at a learning rate near 0, so that one alone "
    "trains next to nothing; set --epochs to 2 or more"
)
"""Said to who asked for no more."""


def fit(
    job: FitConfig,
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
        The classifier, and its result on every test set that the data has; on several processes
        only the first has results.

    Raises:
        RequestError: the request is wrong, or the folder holds another run.
        JobError: the training failed; what was good is kept.
    """
    job.check()
    reporter = reporter or Silent()
    distributed.join(job.device)
    if distributed.launcher_started_one():
        reporter.say(f"{NOTE}{ONE_PROCESS}")
    folder = None if output is None else open_run(output, resume=resume, overwrite=overwrite)
    if folder is not None and resume and not folder.goes_on:
        reporter.say(f"{NOTE}{output} holds no run yet; it begins now")
    if folder is not None and folder.finished:
        reporter.say(f"{NOTE}the run in {output} is finished; it is only measured again")
    return fit_data(job, job.load_data(), folder, reporter)


def fit_data(
    job: FitConfig, data: Dataset, folder: RunFolder | None = None, reporter: Reporter | None = None
) -> tuple[Classifier, dict[str, Result]]:
    """Do a job on data that is loaded already; see ``fit``.

    Args:
        job: what to do; its ``data`` is only a name here.
        data: the whole data set.
        folder: of the run; nothing is kept without one.
        reporter: told how it goes.
    """
    reporter = reporter or Silent()
    job.check()
    device = distributed.join(job.device)
    few = data if job.shots is None else data.few_shot(job.shots, job.seed)
    # before the images are read, which may take minutes: what is wrong here is told at once
    clip = job.load_backbone(device)
    method = job.build_method(clip, few)
    check_batches(job, few)
    few = check_data(job, few, reporter)
    check_batches(job, few)  # of the images that can be read, and before the folder is begun
    about_data = describe_data(data, few)
    settings = describe_settings(job, clip, method, few, about_data)
    if one_warm_up(settings["training"]):
        reporter.say(f"{NOTE}{ONE_EPOCH}")
    if folder is not None:
        distributed.wait()  # until all have looked into the folder, which now changes
        for note in folder.begin(job, settings, few):
            reporter.say(f"{NOTE}{note}")
        distributed.wait()
    reports = train(
        method,
        clip,
        few.train,
        job.train_config(),
        val=few.val,
        folder=None if folder is None else folder.path,
        resume=folder is not None and folder.goes_on,
        say=reporter.say,
        on_step=reporter.step,
    )
    about = describe_result(settings, about_data, reports)
    classifier = freeze(method, clip, few.train, val=few.val, seed=job.seed, information=about)
    if distributed.rank() != 0:
        return classifier, {}
    results = measure(classifier, few, reporter)
    note_metrics(classifier, results)
    if folder is not None:
        classifier.save(folder.path)
    return classifier, results


def check_batches(job: FitConfig, few: Dataset) -> None:
    """Find what is wrong with the batches that the images would make.

    Args:
        job: what was asked for.
        few: the data to train on.

    Raises:
        RequestError: the processes cannot share a batch evenly.
    """
    recipe = _recipe_of(job, few)
    if recipe.epochs:
        share_of(min(recipe.batch_size, len(few.train)))


def check_data(job: FitConfig, data: Dataset, reporter: Reporter) -> Dataset:
    """Read every image once, and say what there is."""
    data = data.checked(job.skip_bad_images, reporter.count("Checking images"))
    for note in data.notes:
        reporter.say(f"{NOTE}{note}")
    reporter.say(summary_of(data))
    return data


def summary_of(data: Dataset) -> str:
    """How many images there are for what, in a line for the user."""
    counts = [f"{len(split):,} {name}" for name, split in data.splits.items() if split]
    return f"{data.name}: {len(data.class_names)} classes; images: {', '.join(counts)}"


def one_warm_up(training: Mapping[str, Any]) -> bool:
    """Whether a training, see ``describe_recipe``, ends with the warm-up."""
    return training["epochs"] == 1 and training["schedule"] == "warm-up-cosine"


def measure(classifier: Classifier, data: Dataset, reporter: Reporter) -> dict[str, Result]:
    """Evaluate on the test split and every shifted one; empty splits are left out."""
    tests = {"test": data.test, **data.shifted}
    return {
        name: evaluate(classifier, split, progress=reporter.count(f"Evaluating on {name}"))
        for name, split in tests.items()
        if split
    }


def note_metrics(classifier: Classifier, results: Mapping[str, Result]) -> None:
    """Keep the results with the classifier."""
    classifier.information["metrics"] = {
        f"{name} {key}": value
        for name, result in results.items()
        for key, value in (("accuracy", result.accuracy), ("macro F1", result.macro_f1))
    }


def describe_settings(
    job: FitConfig, clip: CLIP, method: Method, few: Dataset, about_data: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values that the result depends on, to the bit.

    Args:
        job: what was asked for.
        clip: the backbone.
        method: with its settings.
        few: the data to train on.
        about_data: where that was drawn from, see ``describe_data``.
    """
    return {
        "method": method.name,
        "config": method.config.to_json(),
        "shots": job.shots,
        "seed": job.seed,
        "training": describe_training(job, few),
        "data": {
            "fingerprint": about_data["data"]["fingerprint"],
            "used": few.fingerprint,
            "content": hash_all(about_data["learned_from"]),
        },
        "class_names": list(few.class_names),
        **describe_computation(clip),
    }


def describe_training(job: FitConfig, few: Dataset) -> dict[str, Any]:
    """Every setting of a job's training as plain values.

    Args:
        job: what was asked for.
        few: the data to train on.
    """
    return describe_recipe(_recipe_of(job, few), job.train_config())


def _recipe_of(job: FitConfig, few: Dataset) -> Recipe:
    shots = count_shots(few.train) if few.train else 1
    recipe = job.train_config().recipe_of(find_method(job.method), shots)
    return recipe.for_images(len(few.train))


def describe_result(
    settings: dict[str, Any], about: dict[str, Any], reports: Sequence[EpochReport]
) -> dict[str, Any]:
    """What a saved classifier says of where it comes from."""
    of_training = ("seed", "dtype", "device", "processes")
    loss = {"final_loss": reports[-1].loss} if reports else {}
    return {
        **about,
        "data": {**about["data"], "shots": settings["shots"]},
        "training": {**settings["training"], **{key: settings[key] for key in of_training}, **loss},
    }
