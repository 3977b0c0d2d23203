"""The machine's limit: records the matrix products of a computation and replays them alone.

The replay has no norm, no activation function, no softmax, no copy and no allocation. Every shape
has one set of buffers, so the replay reads from the cache what the computation reads from memory:
the limit is, if anything, too low.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MATRIX = ("mm", "addmm", "bmm", "baddbmm")
"""Plain products; the matrices are the last two operands."""
CONVOLUTIONS = ("convolution", "convolution_backward")
ATTENTION = "_scaled_dot_product_"
"""Prefix of the names of all fused attentions."""


@dataclass(frozen=True)
class Operand:
    """Layout of a tensor, without its values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> "Operand":
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def materialize(self, device: torch.device) -> Tensor:
        """Random tensor in this layout."""
        empty = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=device)
        return empty if 0 in self.stride else empty.normal_()


@dataclass(frozen=True)
class Product:
    """Recorded matrix product."""

    operation: Any
    """Operation that PyTorch dispatched."""
    operands: tuple[Any, ...]
    """Positional arguments, the tensors as ``Operand``."""
    options: tuple[tuple[str, Any], ...]
    """Keyword arguments."""
    flops: int
    """Multiplications and additions."""


@dataclass
class Recorder(TorchDispatchMode):
    """Records every matrix product while it is active."""

    products: list[Product] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def flops(self) -> int:
        return sum(product.flops for product in self.products)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, and record it if it is a product."""
        result, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name in MATRIX:
            flops = 2 * args[-2].numel() * args[-1].shape[-1]
            self._record(func, args, kwargs, flops)
        elif name in CONVOLUTIONS:
            self._record(func, args, kwargs, _convolution_flops(name, args, result))
        elif name.startswith(ATTENTION):
            backward = name.endswith("backward")
            self._record_attention(*args[backward : backward + 3], backward=backward)
        return result

    def _record(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None, flops: int
    ) -> None:
        operands = (Operand.of(x) if isinstance(x, Tensor) else x for x in args)
        self.products.append(Product(func, tuple(operands), tuple((kwargs or {}).items()), flops))

    def _record_attention(self, query: Tensor, key: Tensor, value: Tensor, backward: bool) -> None:
        """Record two products in the forward pass, four in the backward pass."""
        q, k, v = (_matrices(x) for x in (query, key, value))
        weights, answer = (_like(q, q.shape[1], x.shape[width]) for x, width in ((k, 1), (v, 2)))
        pairs = [(q, k.mT), (weights, v)]
        if backward:
            pairs = [(weights.mT, answer), (answer, v.mT), (weights, k), (weights.mT, q)]
        for left, right in pairs:
            flops = 2 * left.numel() * right.shape[-1]
            self._record(torch.ops.aten.bmm.default, (left, right), None, flops)


def record(function: Callable[[], object]) -> Recorder:
    """Run a function once and return its matrix products."""
    with Recorder() as recorder:
        function()
    return recorder


def replay(recorder: Recorder, device: torch.device) -> Callable[[], None]:
    """Function that computes the recorded products and nothing else."""
    buffers: dict[Any, Tensor] = {}
    calls = [_call(product, buffers, device) for product in recorder.products]

    def products_alone() -> None:
        with torch.no_grad():
            for operation, operands, options in calls:
                operation(*operands, **options)

    return products_alone


def _call(
    product: Product, buffers: dict[Any, Tensor], device: torch.device
) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    """Operation with its buffers, writing into one where it can."""
    operands = []
    for place, operand in enumerate(product.operands):
        if isinstance(operand, Operand):
            key = (place, operand)
            operand = buffers.setdefault(key, operand.materialize(device))
        operands.append(operand)
    options = dict(product.options)
    packet = product.operation.overloadpacket
    if packet.__name__ not in MATRIX:
        return product.operation, operands, options
    left, right = operands[-2:]
    shape = (*left.shape[:-1], right.shape[-1])
    out = buffers.setdefault(("out", shape, left.dtype), left.new_empty(shape))
    return packet.out, operands, {**options, "out": out}


def _matrices(x: Tensor) -> Tensor:
    """Layout of ``[batch, heads, tokens, width]`` as a batch of matrices."""
    return torch.empty(prod(x.shape[:-2]), *x.shape[-2:], dtype=x.dtype, device="meta")


def _like(x: Tensor, rows: int, columns: int) -> Tensor:
    return torch.empty(x.shape[0], rows, columns, dtype=x.dtype, device="meta")


def _convolution_flops(name: str, args: Sequence[Any], result: Any) -> int:
    """Count one product per output value and filter weight."""
    if name == "convolution":
        return 2 * result.numel() * prod(args[1].shape[1:])
    output, weight, wanted = args[0], args[2], args[-1]
    return sum(wanted[:2]) * 2 * output.numel() * prod(weight.shape[1:])
