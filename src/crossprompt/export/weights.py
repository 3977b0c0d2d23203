"""Weights of a graph stored in fewer bytes, and turned back into fp32 where they are used.

So every kernel that computes in fp32 will do, and an image is scored alike in any batch: 8-bit
*arithmetic* chooses its scale by the largest value of the whole batch, by an image's neighbours.
"""

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
    if (largest := numpy.abs(array).max()) > numpy.finfo(numpy.float16).max:
        raise JobError(
            f"{value.name} holds {largest:.3g}, more than fp16 can; export with --weights fp32"
        )
    _replace(model, value, array.astype(numpy.float16))


def _store_as_int8(model: Any, value: Any, array: numpy.ndarray, axis: int) -> None:
    """A scale for every output, so that one with small weights loses nothing to its neighbours."""
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
