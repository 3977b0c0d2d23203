"""An exported classifier, run with ONNX Runtime: neither torch nor the backbone is needed."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
from PIL.Image import Image

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import ImageClassifier
from crossprompt.inference.onnx_metadata import KEY, read_description, read_transform
from crossprompt.utils.files import hash_file
from crossprompt.utils.optional import require_extra
from crossprompt.utils.text import one_line

DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""What ONNX Runtime calls them."""


class OnnxClassifier(ImageClassifier):
    """What ``crossprompt export`` writes, opened; it predicts as ``Classifier`` does.

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
        found = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        description = read_description(found, path)
        self.transform = read_transform(description, path)
        self.class_names = tuple(description["class_names"])
        self.information: Mapping[str, Any] = description
        _check_outputs(self.session, len(self.class_names), self.transform.side, path)

    @property
    def enough(self) -> int:
        """Shorter side in pixels that an image needs to have."""
        return self.transform.enough

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that answers depend on: class names and the file."""
        return hash_file(self._path, json.dumps(self.class_names).encode())

    def prepare(self, image: Image) -> numpy.ndarray:
        """The transform: an RGB image to ``[3, side, side]``."""
        return self.transform.pixels(image)

    def probabilities(self, images: numpy.ndarray) -> numpy.ndarray:
        """Of every class: ``[batch, classes]`` for preprocessed ``[batch, 3, side, side]``."""
        try:
            (found,) = self.session.run(None, {self.session.get_inputs()[0].name: images})
        except Exception as error:  # the graph asks for what cannot be done, or for all memory
            raise JobError(
                f"{self._path} cannot be computed ({one_line(error):.200}); try a smaller "
                "--batch-size, or export it again"
            ) from error
        return found


def load_onnx(
    path: str | os.PathLike[str], device: str = "auto", threads: int = 0
) -> OnnxClassifier:
    """Open what ``crossprompt export`` wrote; see ``OnnxClassifier``."""
    return OnnxClassifier(path, device, threads)


def _open(path: Path, device: str, threads: int) -> Any:
    if not path.is_file():
        raise RequestError(f"{path} is no file; expected one that crossprompt export wrote")
    require_extra("onnx", ["onnxruntime"], str(path))
    import onnxruntime

    there = onnxruntime.get_available_providers()
    usable = [name for name, provider in DEVICES.items() if provider in there]
    if device == "auto":
        device = "cuda" if "cuda" in usable else "cpu"
    if device not in usable:
        raise RequestError(
            f"this ONNX Runtime has no device {device!r:.40} for {path}; expected auto or "
            f"{' or '.join(usable)}"
        )
    options = onnxruntime.SessionOptions()
    # named, as by default it takes those of the machine, which this process may not have
    options.intra_op_num_threads = threads or _usable_cores()
    options.log_severity_level = 4  # what it raises is told, its warnings are not for users
    try:
        return onnxruntime.InferenceSession(path, options, providers=[DEVICES[device]])
    except Exception as error:  # each kind of damage has its own, with no base but this
        raise RequestError(
            f"{path} is damaged or no ONNX model ({one_line(error):.200}); copy or export it again"
        ) from error


def _check_outputs(session: Any, classes: int, side: int, path: Path) -> None:
    """Refuse a graph that its description does not fit."""
    shapes = [value.shape for value in (*session.get_inputs(), *session.get_outputs())]
    if [shape[1:] for shape in shapes] != [[3, side, side], [classes]]:
        raise RequestError(
            f"{path} is damaged: found inputs and outputs of shapes {shapes}, expected "
            f"[batch, 3, {side}, {side}] and [batch, {classes}]; export it again"
        )


def _usable_cores() -> int:
    if (named := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(named) > 0:
        return int(named)  # as torch takes them, and as Ray tells its workers
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
