import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.dense import Dense
from crossprompt.methods import build_method
from crossprompt.methods.dcp import DCP
from tests.backbone import NAMES, even_clip, random_images

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("variant", ["coupled", "released"])
def test_logits_and_gradients_are_those_of_dcp(variant: str, share: bool) -> None:
    clip = even_clip()
    method = build_method("dcp", clip, NAMES, length=3, depth=9, variant=variant, share=share)
    assert isinstance(method, DCP)
    images = random_images(4)

    expected = method(clip, images)
    logits = Dense(clip, method).logits(images)
    assert expected.std() > 0.5  # the tolerance means something
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)

    keys, parameters = zip(*method.named_parameters(), strict=True)
    wanted, found = (
        torch.autograd.grad(cross_entropy(x, LABELS), parameters, allow_unused=True)
        for x in (expected, logits)
    )
    for key, by_dcp, by_dense in zip(keys, wanted, found, strict=True):
        assert (by_dcp is None) == (by_dense is None), key
        if by_dcp is not None:
            torch.testing.assert_close(by_dense, by_dcp, atol=1e-5, rtol=0)


def test_every_class_is_a_row_of_the_whole_context() -> None:
    clip = even_clip()
    method = build_method("dcp", clip, NAMES, length=3)
    assert isinstance(method, DCP)
    seen = []
    hooks = [
        block.norm_1.register_forward_hook(lambda module, args, output: seen.append(args[0].shape))
        for block in clip.text.blocks
    ]
    Dense(clip, method).logits(random_images(1))
    for hook in hooks:
        hook.remove()
    assert seen == [(len(NAMES), 77, 64)] * 3
