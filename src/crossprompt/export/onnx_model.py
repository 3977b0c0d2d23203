"""A traced classifier as an ONNX model."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from crossprompt.errors import JobError, RequestError
from crossprompt.export.weights import Weights, store
from crossprompt.onnx_description import KEY
from crossprompt.wording import one_line

OPSET = 18
"""Of 2022, the first that has all that is used here: ONNX Runtime 1.14 and later read it."""
IR_VERSION = 8
"""Of the same time."""
LARGEST = 2**31 - 2**20
"""Bytes of weights in one ONNX file, which is a protocol buffer; the rest is for the graph."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Of the extra ``export``: to write an ONNX model, and to check it."""
_LOUD = ("torch.onnx", "onnxscript", "onnx_ir")


def write_onnx(program: ExportedProgram, path: Path, weights: Weights, description: str) -> None:
    """Write a program as one ONNX file.

    Args:
        program: images to probabilities.
        path: the file.
        weights: how they are stored.
        description: kept in the file's metadata.

    Raises:
        JobError: the program has an operator that ONNX has not.
        RequestError: the weights are too large for one file.
    """
    import onnx
    import onnx_ir

    model = convert(program)
    store(model, weights)
    _check_size(model, weights)
    _name_the_batch(model)
    model.ir_version, model.producer_name = IR_VERSION, "crossprompt"
    model.metadata_props[KEY] = description
    proto = onnx_ir.to_proto(model)
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def convert(program: ExportedProgram) -> Any:
    """The program as an ``onnx_ir.Model``; ``JobError`` if it has an operator that ONNX has not."""
    try:
        with torch.no_grad(), _silence():
            found = torch.onnx.export(
                program,
                input_names=["images"],
                output_names=["probabilities"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # as many kinds as there are steps
        reason = one_line(error)
        raise JobError(f"ONNX has no graph for it: {type(error).__name__} {reason:.300}") from error
    assert found is not None  # it is only where a file was asked for
    return found.model


def _name_the_batch(model: Any) -> None:
    """Call the free axis ``batch``, and forget what was noted of this machine's source files."""
    import onnx_ir

    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = onnx_ir.Shape(["batch", *value.shape[1:]])
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():
                value.shape = value.type = None  # in terms of an axis that has another name now


def _check_size(model: Any, weights: Weights) -> None:
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    if size > LARGEST:
        advice = {"fp32": "--weights fp16", "fp16": "--weights int8"}.get(weights, "--format torch")
        raise RequestError(
            f"the weights take {size / 2**30:.1f} GiB in {weights}, an ONNX file holds 2 GiB; try "
            f"{advice}"
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what the exporters say of themselves from the user."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
