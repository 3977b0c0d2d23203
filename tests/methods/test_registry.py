from inspect import unwrap
from typing import Any

import numpy as np
import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, Method, build_method, find_method
from crossprompt.methods.coop import CoOp
from tests.backbone import NAMES, even_clip


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def test_the_methods_are_found_by_name() -> None:
    assert set(METHODS) >= {"zero_shot", "linear_probe", "coop", "dcp"}
    assert all(find_method(name).name == name for name in METHODS)


def test_an_unknown_method_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(RequestError, match=r"'dpc'.*'dcp'"):
        find_method("dpc")
    with pytest.raises(RequestError, match=", ".join(METHODS)):
        find_method("resnet")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"\[\]"),
        (["cat"], r"\['cat'\]"),
        ("cat", "'cat'"),
        (["cat", "dogs", "cat"], "'cat'"),
        (["cat", " "], "' '"),
    ],
)
def test_unusable_class_names_are_an_error(clip: CLIP, names: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_method("coop", clip, names)


def test_class_names_have_an_order_and_may_be_numpys(clip: CLIP) -> None:
    unchecked: Any = unwrap(Method.build.__func__)  # as without the tests' type checks
    for names in ({"cat", "dog"}, {"cat": 0, "dog": 1}, iter(["cat", "dog"])):
        with pytest.raises(RequestError, match="in the order"):
            unchecked(CoOp, clip, names, {})
    found = unchecked(CoOp, clip, np.array(["cat", "dog"]), {}).class_names
    assert found == ("cat", "dog")
    assert {type(name) for name in found} == {str}


def test_a_method_s_repr_is_its_settings(clip: CLIP) -> None:
    found = repr(build_method("coop", clip, NAMES, length=3))
    assert found.startswith("CoOp(length=3, ")
    assert found.endswith(f"; {len(NAMES)} classes)")


def test_a_method_is_on_the_device_of_the_backbone_and_in_fp32(clip: CLIP) -> None:
    for name in METHODS:
        for parameter in build_method(name, clip, NAMES).parameters():
            assert parameter.device == clip.device
            assert parameter.dtype == torch.float32
