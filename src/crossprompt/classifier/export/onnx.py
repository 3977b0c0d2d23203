"""A traced classifier as an ONNX model."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from torch.export import ExportedProgram

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.metadata import KEY
from crossprompt.utils.text import one_line

Weights = Literal["fp32", "fp16", "int8"]

LEAST = 4096
"""Numbers in a tensor from which on it is stored in fewer bytes; what is smaller costs nothing."""


def store(model: Any, weights: Weights) -> None:
    """Change how the weights of a model are stored.

    Args:
        model: an ``onnx_ir.Model`` with its weights as initializers.
        weights: ``fp16`` for all of some size, ``int8`` for the matrices among them.

    Raises:
        JobError: a weight is too large for fp16.
    """
    if weights == "fp32":
        return
    for value in list(model.graph.initializers.values()):
        array = value.const_value.numpy()
        if array.dtype != numpy.float32 or array.ndim < 2 or array.size < LEAST:
            continue
        if weights == "fp16":
            _store_as_fp16(model, value, array)
        elif (axis := _axis_of_outputs(value)) is not None:
            _store_as_int8(model, value, array, axis)


def _store_as_fp16(model: Any, value: Any, array: numpy.ndarray) -> None:
    if (largest := numpy.abs(array).max()) > numpy.finfo(numpy.float16).max:
        raise JobError(
            f"{value.name} holds {largest:.3g}, more than fp16 can; export with --weights fp32"
        )
    _replace(model, value, array.astype(numpy.float16))


def _store_as_int8(model: Any, value: Any, array: numpy.ndarray, axis: int) -> None:
    """A scale for every output, so that one with small weights loses nothing to its neighbors."""
    scale = numpy.abs(array).max(axis=1 - axis, keepdims=True) / 127
    scale = numpy.where(scale == 0, 1, scale).astype(numpy.float32)
    _replace(model, value, numpy.round(array / scale).astype(numpy.int8), scale)


def _axis_of_outputs(value: Any) -> int | None:
    """Which axis of a matrix counts what is computed with it; None if it is no such matrix."""
    axes = {_axis_of_use(use.node, use.idx) for use in value.uses()}
    return axes.pop() if len(axes) == 1 and len(value.const_value.shape) == 2 else None


def _axis_of_use(node: Any, position: int) -> int | None:
    if node.op_type in (
        "Split",
        "Slice",
        "Transpose",
    ):  # of a linear layer's weight, as torch has it
        return 0
    if node.op_type not in ("MatMul", "Gemm") or position != 1:
        return None
    flipped = "transB" in node.attributes and node.attributes["transB"].as_int()
    return 0 if flipped else 1


def _replace(
    model: Any, value: Any, stored: numpy.ndarray, scale: numpy.ndarray | None = None
) -> None:
    """Put ``stored`` as fp32, times the scale if there is one, in a weight's place.

    Not by ``DequantizeLinear``: ONNX Runtime takes that before a product as leave to compute in 8
    bits. A cast and a product of constants it computes once, when it opens the file.
    """
    import onnx_ir

    def constant(name: str, array: numpy.ndarray) -> Any:
        found = onnx_ir.val(name, const_value=onnx_ir.tensor(array, name=name))
        model.graph.register_initializer(found)
        return found

    first, attributes = model.graph[0], {"to": onnx_ir.DataType.FLOAT}
    kept = constant(f"{value.name}.{stored.dtype}", stored)
    nodes = [onnx_ir.node("Cast", [kept], attributes=attributes)]
    if scale is not None:
        factor = constant(f"{value.name}.scale", scale)
        nodes.append(onnx_ir.node("Mul", [nodes[0].outputs[0], factor]))
    for position, node in enumerate(nodes):
        node.outputs[0].name = f"{value.name}.fp32.{position}"
        model.graph.insert_before(first, node)
    value.replace_all_uses_with(nodes[-1].outputs[0])
    model.graph.initializers.pop(value.name)


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
