"""Batch-invariant classifier, frozen from a trained method."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from PIL.Image import Image

from crossprompt.classifier.hub import push_folder
from crossprompt.classifier.saving import save
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item, check_items
from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import BATCH as BATCH
from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.base import Prediction as Prediction
from crossprompt.methods.base import Method
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen
from crossprompt.methods.uncalibrated import PerBatch, PerImage
from crossprompt.utils.device import to_device
from crossprompt.utils.shapes import Images, Logits

Inference = Literal["calibrated", "per-image", "batch"]


class Classifier(ImageClassifier):
    """A frozen method with its backbone and class names.

    Args:
        clip: the backbone, of which only the image tower is used.
        frozen: the method's frozen form.
        class_names: in the order of the scores.
        method: the trained method, saved along.
        information: settings, data and metrics.
    """

    def __init__(
        self,
        clip: CLIP,
        frozen: Frozen,
        class_names: Sequence[str],
        method: Method,
        information: Mapping[str, Any] | None = None,
    ) -> None:
        self.clip = clip
        self.frozen = frozen.to(clip.device).eval()
        self.class_names = tuple(class_names)
        self.method = method
        self.information = dict(information or {})

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that predictions depend on: class names, weights and the frozen form."""
        about = [self.class_names, self.clip.weights_hash, self.frozen.form]
        digest = hashlib.sha256(json.dumps(about).encode())
        for name, tensor in sorted(self.frozen.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def logits(self, images: Images) -> Logits:
        """Score preprocessed ``[batch, 3, side, side]`` images: ``[batch, classes]`` in fp32."""
        logits: Logits = self.frozen(self.clip, to_device(images, self.clip.device))
        return logits

    @property
    def enough(self) -> int:
        """Shorter side in pixels that an image must have."""
        return self.clip.preprocess.enough

    def prepare(self, image: Image) -> Array:
        """The backbone's test transform: an RGB image to ``[3, side, side]``."""
        prepared: Array = self.clip.preprocess(image).numpy()
        return prepared

    def probabilities(self, images: Array) -> Array:
        """Score preprocessed ``[batch, 3, side, side]`` images: ``[batch, classes]``, sums 1."""
        scores: Array = self.logits(torch.from_numpy(images)).softmax(-1).cpu().numpy()
        return scores

    @torch.no_grad()
    def with_classes(self, class_names: Sequence[str], **changes: Any) -> "Classifier":
        """Copy the classifier for other classes, without training, images and metrics.

        Args:
            class_names: all classes of the new classifier, at least two; to add one:
                ``[*classifier.class_names, "new"]``.
            changes: settings that go with them, such as ``template``.

        Raises:
            RequestError: the method has class-specific parameters, the classifier was saved
                without what is needed, or unusable class names.
        """
        if self.information.get("inference", "calibrated") != "calibrated":
            raise RequestError(
                f"a classifier with inference {self.frozen.form!r} is for study and takes no other "
                "classes; freeze it with calibrated"
            )
        method = self.method.with_class_names(self.clip, class_names, **changes)
        frozen = method.freeze_for_new_classes(self.clip, self.frozen)
        about = {key: value for key, value in self.information.items() if key != "metrics"}
        about.setdefault("learned_with", list(self.class_names))
        return Classifier(self.clip, frozen, method.class_names, method, about)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write the classifier to a folder, all or nothing; see ``crossprompt.load``."""
        return save(self, Path(folder))

    def _summary(self) -> str:
        inference = self.information.get("inference", "calibrated")
        study = "" if inference == "calibrated" else f", inference {inference!r}"
        return f"{super()._summary()}, {self.method.name} on {self.clip.name}{study}"

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Put the classifier on the Hugging Face hub, with a model card; returns its address.

        Args:
            repo_id: ``owner/name``; made if there is none. ``crossprompt.load`` takes it.
            private: make a new repository private.
            token: of a user who may write it; that of the login by default.
            revision: branch to write to; the main branch by default.
            commit_message: for the hub's history.

        Raises:
            RequestError: the classifier cannot be saved, or the hub refuses.
        """
        with TemporaryDirectory() as place:
            return push_folder(
                self.save(place),
                repo_id,
                private=private,
                token=token,
                revision=revision,
                commit_message=commit_message,
            )


def freeze(
    method: Method,
    clip: CLIP,
    train: Sequence[Item] = (),
    *,
    val: Sequence[Item] = (),
    inference: Inference = "calibrated",
    seed: int = 1,
    information: Mapping[str, Any] | None = None,
) -> Classifier:
    """Turn a trained method into a classifier.

    Args:
        method: trained with ``crossprompt.train``; put into evaluation mode.
        clip: the backbone it was trained with.
        train: the few-shot training images; at most 512, balanced, calibrate prompts that depend
            on images, and a method without such prompts needs none.
        val: the few-shot validation images.
        inference: ``calibrated`` (batch-invariant); for experiments only, ``per-image`` (each image
            its own batch: slow) and ``batch`` (as released: depends on the other images).
        seed: of the choice of calibration images.
        information: saved with the classifier.

    Raises:
        RequestError: the method needs training images or its training, or there is no such
            inference mode.
        JobError: the training has diverged.
    """
    for items in (train, val):
        check_items(items, "freeze with")
    method.eval()
    frozen: Frozen
    match inference:
        case "calibrated":
            with torch.no_grad():
                frozen = method.freeze(clip, Examples(clip, train, val, seed))
        case "per-image":
            frozen = PerImage(method)
        case "batch":
            frozen = PerBatch(method)
        case _:
            expected = "calibrated, per-image or batch"
            raise RequestError(f"inference is {inference!r}, expected {expected}")
    if not all(bool(x.isfinite().all()) for x in frozen.state_dict().values()):
        raise JobError(
            f"the trained parameters of {method.name} give scores that are no numbers; train it "
            "with a lower learning rate"
        )
    about = {**(information or {}), "inference": inference}
    return Classifier(clip, frozen, method.class_names, method, about)
