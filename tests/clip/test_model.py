import math

import torch

from crossprompt.clip.model import CLIP, initialize
from tests.clip.random_clip import SMALL, make_clip


def test_initial_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    once = initialize(CLIP(SMALL), torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    again = initialize(CLIP(SMALL), torch.Generator().manual_seed(3))
    other = initialize(CLIP(SMALL), torch.Generator().manual_seed(4))
    for name, parameter in once.named_parameters():
        assert torch.equal(parameter, again.state_dict()[name]), name
    assert not torch.equal(once.text.words.weight, other.text.words.weight)


def test_initial_weights_have_the_stated_deviations() -> None:
    clip = initialize(CLIP(SMALL), torch.Generator().manual_seed(0))
    text, width = clip.text, SMALL.text.width
    for parameter, deviation in (
        (text.words.weight, 0.02),
        (text.blocks[0].attention.qkv.weight, width**-0.5),
        (text.blocks[0].attention.out.weight, width**-0.5 / 6**0.5),  # two a block, three blocks
        (text.blocks[2].mlp[0].weight, (2 * width) ** -0.5),
        (text.blocks[2].mlp[2].weight, width**-0.5 / 6**0.5),
        (clip.image.positions, SMALL.image.width**-0.5),
    ):
        assert abs(parameter.std() / deviation - 1) < 0.1
    assert torch.equal(text.blocks[1].norm_1.weight, torch.ones(width))
    assert not text.blocks[1].mlp[0].bias.any()
    assert math.isclose(clip.logit_scale.exp().item(), 1 / 0.07, rel_tol=1e-6)


def test_logits_are_scaled_cosines_in_fp32_whatever_the_features_dtype() -> None:
    clip = make_clip()
    image, classes = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, -2.0]])
    expected = math.exp(3.0) * torch.tensor([[0.6, -0.8], [1.0, 0.0]])
    for dtype in (torch.float32, torch.bfloat16):
        logits = clip.logits(image.to(dtype), classes.to(dtype))
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected)


def test_the_features_are_read_at_the_class_token_which_sees_appended_prompts() -> None:
    clip = make_clip()
    tower = clip.image
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator())
    prompt = torch.randn(2, 4, SMALL.image.width, generator=torch.Generator())
    plain = tower.embed(images)
    assert plain.shape == (2, 1 + 16, SMALL.image.width)
    tokens = tower.enter(torch.cat([plain, prompt], dim=1))
    for block in tower.blocks:
        tokens = block(tokens)
    assert (tower.pool(tokens) - clip.encode_images(images)).abs().max() > 0.01
    changed = tokens.clone()
    changed[:, 1:] = 0
    assert torch.equal(tower.pool(changed), tower.pool(tokens))


def test_images_are_taken_in_any_dtype_and_computed_in_that_of_the_weights() -> None:
    clip = make_clip().to(torch.bfloat16)
    features = clip.encode_images(torch.zeros(1, 3, 32, 32))
    assert features.dtype == clip.dtype == torch.bfloat16
    assert clip.device == torch.device("cpu")
