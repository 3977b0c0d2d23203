"""Device and dtype selection."""

import pytest
import torch

from crossprompt.errors import RequestError
from crossprompt.utils.device import choose_device, choose_dtype, has_fast_bf16

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Sets the hardware that torch reports."""

    def pretend(cuda: bool = False, mps: bool = False, **of_cpu: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda n=name: of_cpu.get(n, False), raising=False)

    return pretend


def test_auto_takes_the_best_device_there_is(machine) -> None:
    machine(cuda=True, mps=True)
    assert choose_device() == torch.device("cuda")
    machine(mps=True)
    assert choose_device("auto") == torch.device("mps")
    machine()
    assert choose_device() == CPU


def test_a_device_that_is_not_there_is_refused(machine) -> None:
    machine()
    assert choose_device("cpu") == choose_device(CPU) == CPU
    with pytest.raises(RequestError, match=r"cuda.*--device cpu"):
        choose_device("cuda:1")
    with pytest.raises(RequestError, match=r"'gpu'.*auto, cpu, cuda or mps"):
        choose_device("gpu")
    machine(cuda=True)
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_auto_is_bf16_on_a_cpu_that_multiplies_it(machine, name) -> None:
    machine(**{name: True})
    assert choose_dtype("auto", CPU) == torch.bfloat16


def test_auto_is_fp32_where_bf16_is_emulated(machine, monkeypatch) -> None:
    machine()
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("mps")) == torch.float32
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)  # private, so a release may drop it
    assert choose_dtype("auto", CPU) == torch.float32


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_is_bf16_on_gpus_from_ampere_on(monkeypatch, capability, fast) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_fast_bf16(torch.device("cuda")) is fast


def test_a_dtype_that_is_named_is_taken(machine) -> None:
    machine()
    named = [choose_dtype(name, CPU) for name in ("fp32", "bf16", "fp16", torch.float64)]
    assert named == [torch.float32, torch.bfloat16, torch.float16, torch.float64]
    with pytest.raises(RequestError, match=r"'fp8'.*auto, fp32, bf16, fp16"):
        choose_dtype("fp8", CPU)
