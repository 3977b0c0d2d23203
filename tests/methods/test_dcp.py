from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method, dcp
from crossprompt.methods.dcp import DCP
from tests.backbone import EVEN, NAMES, VIT_B_16, even_clip, random_images, with_blocks
from tests.clip.random_clip import make_clip, make_tokenizer

LABELS = torch.tensor([0, 1, 2, 3])
CMPA_KEYS = [
    *(
        f"{module}.{kind}"
        for module in ("project", "norm_1", "norm_2")
        for kind in ("weight", "bias")
    ),
    "attention.in_proj_weight",
    "attention.in_proj_bias",
    "attention.out_proj.weight",
    "attention.out_proj.bias",
    *(f"mlp.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")),
]
"""Tensors of one side of a CMPA module, as design section 9 lists them."""


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> DCP:
    method = build_method("dcp", clip, NAMES, **{"length": 3, **options})
    assert isinstance(method, DCP)
    return method


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[list[str]]:
    """The names of the modules in the order of their calls."""
    calls: list[str] = []

    def note(name: str) -> Any:
        return lambda module, inputs: calls.append(name)

    handles = [module.register_forward_pre_hook(note(name)) for name, module in modules.items()]
    yield calls
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("depth", "last"), [(1, 1), (9, 9), (11, 11), (12, 11)])
def test_prompts_are_rewritten_before_block_1_and_up_to_the_depth(
    depth: int, last: int, share: bool
) -> None:
    clip = make_clip(with_blocks(12))
    method = build(clip, depth=depth, share=share)
    named = {f"cmpa {number}": module for number, module in enumerate(method.cmpa)}
    towers = {"image": clip.image.blocks, "text": clip.text.blocks}
    for tower, blocks in towers.items():
        named |= {f"{tower} {number}": block for number, block in enumerate(blocks)}
    with recorded(named) as calls:
        method(clip, random_images(2))
    expected = []
    for block in range(12):
        if 1 <= block <= last:
            expected.append("cmpa 0" if share else f"cmpa {block - 1}")
        expected += [f"image {block}", f"text {block}"]
    assert calls == expected
    assert len(method.cmpa) == (1 if share else last)


def test_text_features_change_with_the_images_in_the_coupled_variant_only(clip: CLIP) -> None:
    def moved(variant: str) -> float:
        method, features = build(clip, variant=variant), []
        handle = clip.text.projection.register_forward_hook(
            lambda module, inputs, output: features.append(output)
        )
        for seed in (1, 2):
            method(clip, random_images(4, seed))
        handle.remove()
        return (features[0] - features[1]).abs().max().item()

    assert moved("released") == 0
    assert moved("coupled") > 1e-3


def test_the_saved_keys_are_those_of_the_format(clip: CLIP) -> None:
    def keys(modules: int) -> set[str]:
        return {
            "text_prompt",
            "image_prompt",
            *(
                f"cmpa.{module}.{side}.{key}"
                for module in range(modules)
                for side in ("image", "text")
                for key in CMPA_KEYS
            ),
        }

    assert set(build(clip).state_dict()) == keys(1)
    assert set(build(clip, share=False).state_dict()) == keys(2)
    assert len(keys(1)) == 30


def without_gradient(method: DCP, clip: CLIP) -> list[str]:
    method.loss(clip, random_images(4), LABELS).backward()
    return [key for key, parameter in method.named_parameters() if parameter.grad is None]


def test_as_released_14_of_30_tensors_never_get_a_gradient(clip: CLIP) -> None:
    still = without_gradient(build(clip, variant="released"), clip)
    assert sorted(still) == sorted(f"cmpa.0.text.{key}" for key in CMPA_KEYS)
    assert len(still) == 14
    assert without_gradient(build(clip, variant="coupled"), clip) == []


def test_parameters_on_vit_b_16_are_as_many_as_published(clip: CLIP) -> None:
    with torch.device("meta"):
        large = CLIP(VIT_B_16)
        large.tokenizer = make_tokenizer()
        method = DCP(large, NAMES, DCP.Config())
    counts = {key: parameter.numel() for key, parameter in method.named_parameters()}
    assert sum(counts.values()) == 11_048_448
    assert counts.pop("text_prompt") + counts.pop("image_prompt") == 20_480
    assert sum(counts.values()) == 11_027_968
    still = without_gradient(build(clip, variant="released"), clip)
    assert 11_048_448 - sum(counts[key] for key in still) == 7_502_336


def test_random_prompts_have_a_deviation_of_a_fiftieth(clip: CLIP) -> None:
    method = build_method("dcp", clip, NAMES, length=60)
    for key in ("text_prompt", "image_prompt"):
        assert method.state_dict()[key].std() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("share", [True, False])
def test_cmpa_may_start_as_the_identity(clip: CLIP, share: bool) -> None:
    method = build_method("dcp", clip, NAMES, start="identity", share=share, length=2)
    image, text = (
        torch.randn(1, 2, clip.config.image.width),
        torch.randn(1, 2, clip.config.text.width),
    )
    for cmpa in method.cmpa:
        new_image, new_text = cmpa(image, text)
        assert torch.equal(new_image, image)
        assert torch.equal(new_text, text)
    method.loss(clip, random_images(2), torch.tensor([0, 1])).backward()
    moved = [
        name for name, p in method.cmpa.named_parameters() if p.grad is not None and p.grad.any()
    ]
    assert {name.split(".", 2)[2].removesuffix(".weight") for name in moved} >= {
        "attention.out_proj",
        "mlp.2",
    }


def test_the_recipe_is_the_published_one() -> None:
    recipe = DCP.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (20, 4, 0.0035)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (recipe.first_lr, DCP.Config().length, DCP.Config().depth) == (1e-5, 16, 9)
    config = DCP.Config()
    assert (config.variant, config.share, config.fuse, config.start) == (
        "coupled",
        True,
        "mean",
        "random",
    )


def test_a_large_batch_is_worked_on_by_parts_to_the_same_result(
    clip: CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, images, sizes = build(clip), random_images(8), []
    whole = method(clip, images)
    monkeypatch.setattr(dcp, "IMAGES_AT_ONCE", 3)
    handle = clip.image.blocks[0].register_forward_pre_hook(
        lambda module, inputs: sizes.append(inputs[0].shape[0])
    )
    torch.testing.assert_close(method(clip, images), whole, atol=1e-5, rtol=0)
    handle.remove()
    assert sizes == [3, 3, 2]


def test_a_backbone_in_bf16_trains_prompts_in_fp32() -> None:
    clip = make_clip(EVEN).to(torch.bfloat16)
    method, images = build(clip), random_images(4)
    logits = method(clip, images)
    assert logits.dtype == torch.float32
    expected = method(even_clip(), images)
    assert (logits - expected).abs().max() < 0.15 * expected.abs().max()
    method.loss(clip, images, LABELS).backward()
    gradients = [parameter.grad for parameter in method.parameters()]
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients)


def test_a_prompt_from_words_starts_from_their_embeddings(clip: CLIP) -> None:
    ids = clip.tokenizer.encode("a photo of a")
    expected = clip.text.words(torch.tensor(ids))
    assert torch.equal(build(clip, length=4, initial_words="a photo of a").text_prompt, expected)
    shorter = build(clip, length=2, initial_words="a photo of a").text_prompt
    assert torch.equal(shorter, expected[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"length": 16, "initial_words": "a photo of a"}, "initial_words .*length is 16"),
        ({"length": 4, "initial_words": "a cat"}, "'a cat' .* length 4"),
        ({"variant": "paper"}, "variant is 'paper'"),
        ({"fuse": "sum"}, "fuse is 'sum'"),
        ({"length": 10**9}, "'yorkshire terrier' .*1000000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)


def test_a_depth_beyond_the_blocks_is_an_error_unless_it_is_the_default(clip: CLIP) -> None:
    blocks = clip.config.image.blocks
    with pytest.raises(RequestError, match=rf"depth is 99 .*{blocks} blocks"):
        build(clip, depth=99)
    build(make_clip(with_blocks(2)))  # 9 by default


def test_towers_of_different_depth_are_an_error_that_says_both() -> None:
    clip = make_clip(replace(EVEN, text=replace(EVEN.text, blocks=5)))
    with pytest.raises(RequestError, match="3 image and 5 text"):
        build(clip)


def test_a_width_that_is_no_multiple_of_a_heads_is_an_error() -> None:
    clip = make_clip(replace(EVEN, image=replace(EVEN.image, width=96, heads=2)))
    with pytest.raises(RequestError, match="widths 96 and 64"):
        build(clip)


def test_fusing_takes_the_mean_the_maximum_or_the_first_over_the_images() -> None:
    prompts = torch.tensor([[[1.0, 5.0]], [[3.0, 1.0]]])
    assert dcp.fuse(prompts, "mean").tolist() == [[2.0, 3.0]]
    assert dcp.fuse(prompts, "max").tolist() == [[3.0, 5.0]]
    assert dcp.fuse(prompts, "first").tolist() == [[1.0, 5.0]]
