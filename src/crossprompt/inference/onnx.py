"""Runs an exported classifier with ONNX Runtime: neither torch nor the backbone is needed."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
from PIL.Image import Image

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import ImageClassifier
from crossprompt.inference.metadata import KEY, read_exported_description, read_transform
from crossprompt.utils.files import hash_file
from crossprompt.utils.optional import require_extra
from crossprompt.utils.text import one_line

DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Device to ONNX Runtime's name of it."""


class OnnxClassifier(ImageClassifier):
    """An opened ``.onnx`` file of ``crossprompt export``; it predicts as ``Classifier`` does.

    Args:
        path: the ``.onnx`` file.
        device: ``cpu``, ``cuda``, or ``auto`` for the best that this ONNX Runtime has.
        threads: to compute with; 0 for as many as the process may use.

    Raises:
        RequestError: the file is missing, damaged, of a newer format or not ours, ONNX Runtime is
            not installed, or it has no such device.
    """

    def __init__(
        self, path: str | os.PathLike[str], device: str = "auto", threads: int = 0
    ) -> None:
        self._path = path = Path(path)
        self.session = _open(path, device, threads)
        text = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        self.information = read_exported_description(text, path)
        self.transform = read_transform(self.information, path)
        self.class_names = tuple(self.information["class_names"])
        side, classes = self.transform.side, len(self.class_names)
        values = (*self.session.get_inputs(), *self.session.get_outputs())
        shapes = [value.shape for value in values]
        if [shape[1:] for shape in shapes] != [[3, side, side], [classes]]:
            raise RequestError(
                f"{path} is damaged: found inputs and outputs of shapes {shapes}, expected "
                f"[batch, 3, {side}, {side}] and [batch, {classes}]; export it again"
            )

    @property
    def enough(self) -> int:
        """Shorter side in pixels that an image needs to have."""
        return self.transform.enough

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that predictions depend on: class names and the file."""
        return hash_file(self._path, json.dumps(self.class_names).encode())

    def prepare(self, image: Image) -> numpy.ndarray:
        """Preprocess an RGB image to ``[3, side, side]``."""
        return self.transform.pixels(image)

    def probabilities(self, images: numpy.ndarray) -> numpy.ndarray:
        """Probabilities ``[batch, classes]`` of preprocessed ``[batch, 3, side, side]`` images."""
        try:
            (found,) = self.session.run(None, {self.session.get_inputs()[0].name: images})
        except Exception as error:  # a hostile graph may ask for anything, also for all memory
            raise JobError(
                f"{self._path} cannot be computed ({one_line(error):.200}); try a smaller "
                "--batch-size, or export it again"
            ) from error
        return found


def load_onnx(
    path: str | os.PathLike[str], device: str = "auto", threads: int = 0
) -> OnnxClassifier:
    """Open a file of ``crossprompt export``; see ``OnnxClassifier``."""
    return OnnxClassifier(path, device, threads)


def _open(path: Path, device: str, threads: int) -> Any:
    if not path.is_file():
        raise RequestError(f"{path} is no file; expected one that crossprompt export wrote")
    require_extra("onnx", ["onnxruntime"], str(path))
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    usable = [name for name, provider in DEVICES.items() if provider in providers]
    if device == "auto":
        device = "cuda" if "cuda" in usable else "cpu"
    if device not in usable:
        raise RequestError(
            f"this ONNX Runtime has no device {device!r:.40} for {path}; expected auto or "
            f"{' or '.join(usable)}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _usable_cores()  # its default is the whole machine
    options.log_severity_level = 4  # errors are raised; its warnings are not for users
    try:
        return onnxruntime.InferenceSession(path, options, providers=[DEVICES[device]])
    except Exception as error:  # each kind of damage has its own, with no base but this
        raise RequestError(
            f"{path} is damaged or no ONNX model ({one_line(error):.200}); copy or export it again"
        ) from error


def _usable_cores() -> int:
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(threads) > 0:
        return int(threads)  # torch and Ray follow it too
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
