import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d, linear, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.limit import record, replay
from benchmarks.workload import NARROW, Workload, names, random_clip

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_linear_layer_is_one_product_and_backward_two(dtype: torch.dtype) -> None:
    x = torch.randn(5, 7, dtype=dtype, requires_grad=True)
    weight = torch.randn(3, 7, dtype=dtype, requires_grad=True)
    bias = torch.randn(3, dtype=dtype)
    forward = record(lambda: linear(x, weight, bias))
    assert [product.flops for product in forward.products] == [2 * 5 * 7 * 3]
    both = record(lambda: linear(x, weight, bias).sum().backward())
    assert both.flops == 3 * 2 * 5 * 7 * 3
    assert {operand.dtype for operand in both.products[1].operands} == {dtype}


def test_attention_is_two_products_and_backward_four() -> None:
    query, key, value = (torch.randn(2, 3, 5, 8, requires_grad=True) for _ in range(3))
    one = 2 * (2 * 3) * 5 * 5 * 8
    with torch.no_grad():
        assert record(lambda: scaled_dot_product_attention(query, key, value)).flops == 2 * one
    both = record(lambda: scaled_dot_product_attention(query, key, value).sum().backward())
    assert both.flops == 6 * one
    assert len(both.products) == 6


def test_a_convolution_is_its_sums_and_backward_the_wanted_ones() -> None:
    images = torch.randn(2, 3, 8, 8)
    weight = torch.randn(5, 3, 4, 4, requires_grad=True)
    one = 2 * (2 * 5 * 2 * 2) * (3 * 4 * 4)
    both = record(lambda: conv2d(images, weight, stride=4).sum().backward())
    assert [product.flops for product in both.products] == [one, one]


@pytest.mark.slow
def test_a_step_has_the_products_that_pytorch_counts_and_can_be_replayed() -> None:
    workload = Workload.of(random_clip(torch.bfloat16, CPU, NARROW), names(5))
    # with attention as plain products: PyTorch does not count its fused attention on a CPU
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        workload.backward()
    recorded = record(workload.backward)
    assert recorded.flops == counter.get_total_flops()
    again = record(replay(recorded, CPU))
    assert again.flops == recorded.flops
    assert len(again.products) == len(recorded.products)
