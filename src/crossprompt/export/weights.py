"""Weights of a graph stored in fewer bytes, and turned back into fp32 where they are used.

So every kernel that computes in fp32 will do, and an image is scored alike in any batch: 8-bit
*arithmetic* chooses its scale by the largest value of the whole batch, by an image's neighbours.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy

from crossprompt.errors import JobError

Weights = Literal["fp32", "fp16", "int8"]

LEAST = 4096
"""Numbers in a tensor from which on it is stored in fewer bytes; what is smaller costs nothing."""


def store(model: Any, weights: Weights) -> None:
    """Change how the weights of a model are stored.

    Args:
        model: an ``onnx_ir.Model`` with its weights as initialisers.
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
    from onnx_ir import DataType

    if (largest := numpy.abs(array).max()) > numpy.finfo(numpy.float16).max:
        raise JobError(
            f"{value.name} holds {largest:.3g}, more than fp16 can; export with --weights fp32"
        )
    _replace(model, value, "Cast", {"": array.astype(numpy.float16)}, {"to": DataType.FLOAT})


def _store_as_int8(model: Any, value: Any, array: numpy.ndarray, axis: int) -> None:
    """A scale for every output, so that one with small weights loses nothing to its neighbours."""
    scale = numpy.abs(array).max(axis=1 - axis) / 127
    scale = numpy.where(scale == 0, 1, scale).astype(numpy.float32)
    rounded = numpy.round(array / numpy.expand_dims(scale, 1 - axis)).astype(numpy.int8)
    _replace(model, value, "DequantizeLinear", {"": rounded, "scale": scale}, {"axis": axis})


def _axis_of_outputs(value: Any) -> int | None:
    """Which axis of a matrix counts what is computed with it; None if it is no such matrix."""
    axes = set()
    for use in value.uses():
        if use.node.op_type not in ("MatMul", "Gemm") or use.idx != 1:
            return None
        flipped = "transB" in use.node.attributes and use.node.attributes["transB"].as_int()
        axes.add(0 if flipped else 1)
    return axes.pop() if len(axes) == 1 and len(value.const_value.shape) == 2 else None


def _replace(
    model: Any,
    value: Any,
    operator: str,
    stored: Mapping[str, numpy.ndarray],
    attributes: Mapping[str, Any],
) -> None:
    """Put the operator's output in a weight's place, and what it is computed of into the file."""
    import onnx_ir

    inputs = []
    for part, array in stored.items():
        name = ".".join(filter(None, (value.name, str(array.dtype), part)))
        inputs.append(onnx_ir.val(name, const_value=onnx_ir.tensor(array, name=name)))
        model.graph.register_initializer(inputs[-1])
    node = onnx_ir.node(operator, inputs, attributes=attributes)
    node.outputs[0].name = f"{value.name}.fp32"
    model.graph.insert_before(model.graph[0], node)
    value.replace_all_uses_with(node.outputs[0])
    model.graph.initializers.pop(value.name)
