"""Writes a traced classifier as an ONNX model, its weights in fp32, fp16 or int8."""

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

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Packages of the extra ``export``."""
OPSET = 18
"""Operator set of 2022, the first that has all operators: ONNX Runtime reads it since 1.14."""
IR_VERSION = 8
"""File format of the same time."""
LARGEST = 2**31 - 2**20
"""Bytes of weights in one ONNX file, which is a protocol buffer; the rest is for the graph."""
LEAST = 4096
"""Values in a tensor from which on it is stored in fewer bytes; smaller ones save nothing."""


def write_onnx(program: ExportedProgram, path: Path, weights: Weights, description: str) -> None:
    """Write a program of images to probabilities as one file, the description in its metadata.

    Raises:
        JobError: the program has an operator that ONNX lacks, or a weight is too large for fp16.
        RequestError: the weights are too large for one file.
    """
    import onnx
    import onnx_ir

    model = convert(program)
    if weights != "fp32":
        store(model, weights)
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    if size > LARGEST:
        advice = {"fp32": "--weights fp16", "fp16": "--weights int8"}.get(weights, "--format torch")
        raise RequestError(
            f"the weights take {size / 2**30:.1f} GiB in {weights}, an ONNX file holds 2 GiB; try "
            f"{advice}"
        )
    _clean(model)
    model.ir_version, model.producer_name = IR_VERSION, "crossprompt"
    model.metadata_props[KEY] = description
    proto = onnx_ir.to_proto(model)
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def convert(program: ExportedProgram) -> Any:
    """The program as an ``onnx_ir.Model``; ``JobError`` if it has an operator that ONNX lacks."""
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
    except Exception as error:  # each step of the exporter raises its own kinds
        reason = one_line(error)
        raise JobError(f"ONNX has no graph for it: {type(error).__name__} {reason:.300}") from error
    assert found is not None
    return found.model


def store(model: Any, weights: Weights) -> None:
    """Store an ``onnx_ir.Model``'s large weights in fp16, or the matrices among them in int8.

    Raises:
        JobError: a weight is too large for fp16.
    """
    for value in list(model.graph.initializers.values()):
        array = value.const_value.numpy()
        if array.dtype != numpy.float32 or array.ndim < 2 or array.size < LEAST:
            continue
        if weights == "fp16":
            if (largest := numpy.abs(array).max()) > numpy.finfo(numpy.float16).max:
                raise JobError(
                    f"{value.name} holds {largest:.3g}, too large for fp16; use --weights fp32"
                )
            _replace(model, value, array.astype(numpy.float16))
        elif (axis := _output_axis(value)) is not None:
            # a scale for each output, so that one with small weights keeps its precision
            scale = numpy.abs(array).max(axis=1 - axis, keepdims=True) / 127
            scale = numpy.where(scale == 0, 1, scale).astype(numpy.float32)
            _replace(model, value, numpy.round(array / scale).astype(numpy.int8), scale)


def _output_axis(value: Any) -> int | None:
    """The axis of a weight matrix that counts the outputs; None if it is no such matrix."""
    axes = set()
    for use in value.uses():
        node = use.node
        if node.op_type in ("Split", "Slice", "Transpose"):  # torch's layout of a linear layer
            axes.add(0)
        elif node.op_type in ("MatMul", "Gemm") and use.idx == 1:
            transposed = "transB" in node.attributes and node.attributes["transB"].as_int()
            axes.add(0 if transposed else 1)
        else:
            return None
    return axes.pop() if len(axes) == 1 and len(value.const_value.shape) == 2 else None


def _replace(
    model: Any, value: Any, stored: numpy.ndarray, scale: numpy.ndarray | None = None
) -> None:
    """Replace a weight by ``stored``, cast to fp32, times the scale if there is one.

    Not by ``DequantizeLinear``: before a product, ONNX Runtime takes that as leave to compute in 8
    bits. A cast and a product of constants are folded when the file is opened.
    """
    import onnx_ir

    def constant(name: str, array: numpy.ndarray) -> Any:
        found = onnx_ir.val(name, const_value=onnx_ir.tensor(array, name=name))
        model.graph.register_initializer(found)
        return found

    first, attributes = model.graph[0], {"to": onnx_ir.DataType.FLOAT}
    source = constant(f"{value.name}.{stored.dtype}", stored)
    nodes = [onnx_ir.node("Cast", [source], attributes=attributes)]
    if scale is not None:
        factor = constant(f"{value.name}.scale", scale)
        nodes.append(onnx_ir.node("Mul", [nodes[0].outputs[0], factor]))
    for position, node in enumerate(nodes):
        node.outputs[0].name = f"{value.name}.fp32.{position}"
        model.graph.insert_before(first, node)
    value.replace_all_uses_with(nodes[-1].outputs[0])
    model.graph.initializers.pop(value.name)


def _clean(model: Any) -> None:
    """Name the free axis ``batch``, and drop the exporter's notes on this machine's files."""
    import onnx_ir

    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = onnx_ir.Shape(["batch", *value.shape[1:]])
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():
                value.shape = value.type = None  # in terms of the axis's earlier name


@contextmanager
def _silence() -> Iterator[None]:
    """Hide the exporters' warnings and logs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
