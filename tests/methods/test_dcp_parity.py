from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods import Method, build_method
from tests.backbone import NAMES, even_clip, random_images
from tests.methods.dense_dcp import dense_dcp_logits

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def disturb(method: Method) -> None:
    """Move every tensor away from its start, so that no bias is zero and no norm is one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("fuse", ["mean", "max", "first"])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("variant", ["coupled", "released"])
def test_logits_and_all_gradients_equal_the_dense_restatement(
    clip: CLIP, variant: str, share: bool, fuse: str
) -> None:
    settings: dict[str, Any] = {"variant": variant, "share": share, "fuse": fuse}
    method = build_method("dcp", clip, NAMES, length=3, depth=9, **settings)
    disturb(method)
    images = random_images(4)
    learned = {key: value.clone().requires_grad_() for key, value in method.state_dict().items()}

    logits = method(clip, images)
    expected = dense_dcp_logits(clip, NAMES, learned, images, depth=9, **settings)
    assert expected.std() > 0.5  # the tolerance means something
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)

    method.loss(clip, images, LABELS).backward()
    cross_entropy(expected, LABELS).backward()
    for key, parameter in method.named_parameters():
        wanted, found = learned[key].grad, parameter.grad
        assert (wanted is None) == (found is None), key
        if wanted is not None and found is not None:
            largest = wanted.abs().amax()
            assert largest > 0, key
            assert (found - wanted).abs().amax() <= min(1e-5, 1e-4 * largest), key
