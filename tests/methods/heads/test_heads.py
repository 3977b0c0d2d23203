import pytest
import torch
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads import FORMS, StaticPrompts, check_tensors
from tests.backbone import EVEN, even_clip, random_images

WIDTH, EMBED, CLASSES, LENGTH = EVEN.image.width, EVEN.embed, 5, 3


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def state(depths: tuple[int, ...] = (0, 2)) -> dict[str, Tensor]:
    prompts = {f"image_prompt_{depth}": draw(LENGTH, WIDTH, seed=depth) for depth in depths}
    weights = {"class_weights": draw(CLASSES, EMBED), "scale": torch.tensor(7.0)}
    return {**prompts, **weights, "bias": draw(CLASSES, seed=9)}


def written_out(clip: CLIP, constants: dict[str, Tensor], image: Tensor) -> Tensor:
    """One image, by hand: the prompt appended before the pre-norm, then overwritten."""
    tokens = torch.cat([clip.image.embed(image[None])[0], constants["image_prompt_0"]])
    tokens = clip.image.enter(tokens[None])
    tokens = clip.image.blocks[1](clip.image.blocks[0](tokens))
    tokens = torch.cat(
        [tokens[0, : -len(constants["image_prompt_2"])], constants["image_prompt_2"]]
    )
    feature = clip.image.pool(clip.image.blocks[2](tokens[None]))[0]
    products = constants["class_weights"] @ (feature / feature.norm())
    return constants["scale"] * products + constants["bias"]


def test_prompts_are_appended_at_0_and_written_before_later_blocks(clip: CLIP) -> None:
    constants, images = state(), random_images(3)
    frozen = StaticPrompts.from_state(constants, clip, CLASSES)
    expected = torch.stack([written_out(clip, constants, image) for image in images])
    torch.testing.assert_close(frozen(clip, images), expected, atol=1e-5, rtol=0)


def test_without_prompts_images_are_clips_own_features(clip: CLIP) -> None:
    images, classes = random_images(3), draw(CLASSES, EMBED)
    frozen = StaticPrompts.of(clip, classes)
    expected = clip.logits(clip.encode_images(images), classes)
    torch.testing.assert_close(frozen(clip, images), expected, atol=1e-5, rtol=0)
    assert frozen.plain
    torch.testing.assert_close(frozen.score(clip.encode_images(images)), expected)
    assert not StaticPrompts.from_state(state(), clip, CLASSES).plain


def test_it_keeps_copies_in_fp32_that_no_training_reaches(clip: CLIP) -> None:
    classes = torch.nn.Parameter(draw(CLASSES, EMBED).to(torch.bfloat16))
    prompt = torch.nn.Parameter(draw(LENGTH, WIDTH))
    frozen = StaticPrompts({0: prompt}, classes, torch.tensor(2.0))
    before = frozen.image_prompt_0.clone()
    with torch.no_grad():
        prompt.zero_()
    assert torch.equal(frozen.image_prompt_0, before)
    assert list(frozen.parameters()) == []
    assert all(x.dtype == torch.float32 for x in frozen.state_dict().values())
    assert not any(x.requires_grad for x in frozen.state_dict().values())


def test_the_state_round_trips(clip: CLIP) -> None:
    constants = state((0, 1, 2))
    frozen = StaticPrompts.from_state(constants, clip, CLASSES)
    assert frozen.state_dict().keys() == constants.keys()
    assert all(torch.equal(value, constants[key]) for key, value in frozen.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": None}, "missing bias"),
        ({"more": draw(1)}, "unexpected more"),
        ({"image_prompt_3": draw(LENGTH, WIDTH)}, "unexpected image_prompt_3"),
        ({"scale": draw(1)}, r"scale is torch.float32 of shape \(1,\), expected .* shape \(\)"),
        ({"class_weights": draw(CLASSES, EMBED + 1)}, r"class_weights is .* \(5, 49\)"),
        ({"class_weights": draw(CLASSES + 1, EMBED)}, r"class_weights is .* \(6, 48\)"),
        ({"image_prompt_2": draw(LENGTH, WIDTH + 1)}, r"image_prompt_2 is .* \(3, 129\)"),
        ({"image_prompt_2": draw(LENGTH - 1, WIDTH)}, r"image_prompt_2 is .* \(2, 128\)"),
        ({"image_prompt_2": torch.tensor(1.0)}, r"image_prompt_2 is .* \(\)"),
        ({"bias": torch.zeros(CLASSES, dtype=torch.int64)}, "bias is torch.int64 .* torch.float32"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error_that_names_the_key(
    clip: CLIP, changes: dict[str, Tensor | None], message: str
) -> None:
    changed = {key: value for key, value in {**state(), **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        StaticPrompts.from_state(changed, clip, CLASSES)


def texts(count: int, *rows: list[int]) -> Tensor:
    """Ids of so many classes, the given rows in turn."""
    return torch.tensor([rows[number % len(rows)] for number in range(count)], dtype=torch.int64)


HEAD = {"class_weights": draw(CLASSES, EMBED), "scale": torch.tensor(7.0)}
FORM_STATES = {
    "static-prompts": state(),
    "cache": {
        **HEAD,
        "keys": draw(9, EMBED, seed=1),
        "values": draw(9, CLASSES, seed=2),
        "alpha": torch.tensor(1.5),
        "beta": torch.tensor(2.5),
    },
    "adapter": {
        **HEAD,
        "down": draw(6, EMBED, seed=3),
        "up": draw(EMBED, 6, seed=4),
        "ratio": torch.tensor(0.3),
    },
    "blended": {f"prompted.{key}": value for key, value in state().items()},
    "merged": {
        **HEAD,
        "down": draw(EVEN.image.blocks, 3, 2, WIDTH, seed=10),
        "up": draw(EVEN.image.blocks, 3, WIDTH, 2, seed=11),
    },
    "conditional": {
        "name_tokens": torch.tensor([[7, 1, 2, 9], *[[7, 1, 9, -1]] * (CLASSES - 1)]),
        "text_prompt": draw(LENGTH, EVEN.text.width, seed=5),
        "down_weight": draw(6, EMBED, seed=6),
        "down_bias": draw(6, seed=7),
        "up_weight": draw(EVEN.text.width, 6, seed=8),
        "up_bias": draw(EVEN.text.width, seed=9),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_rebuilt_from_its_state(clip: CLIP, form: str) -> None:
    constants = FORM_STATES[form]
    frozen = FORMS[form].from_state(constants, clip, CLASSES)
    assert frozen.form == form
    assert frozen.state_dict().keys() == constants.keys()
    assert all(torch.equal(value, constants[key]) for key, value in frozen.state_dict().items())
    assert frozen(clip, random_images(2)).shape == (2, CLASSES)


@pytest.mark.parametrize(
    ("form", "changes", "message"),
    [
        ("cache", {"alpha": None}, "missing alpha"),
        ("cache", {"bias": draw(CLASSES)}, "unexpected bias"),
        ("cache", {"keys": draw(9, EMBED + 1)}, r"keys is .* \(9, 49\), expected .* \(9, 48\)"),
        ("cache", {"values": draw(8, CLASSES)}, r"values is .* \(8, 5\), expected .* \(9, 5\)"),
        ("cache", {"keys": torch.tensor(1.0)}, r"keys is .* \(\)"),
        ("adapter", {"down": None}, "missing down"),
        ("blended", {"prompted.bias": None}, "missing bias"),
        ("blended", {"scale": torch.tensor(7.0)}, "unexpected scale.*prompted"),
        ("adapter", {"up": draw(EMBED, 7)}, r"up is .* \(48, 7\), expected .* \(48, 6\)"),
        ("conditional", {"name_tokens": None}, "missing name_tokens"),
        (
            "conditional",
            {"name_tokens": torch.ones(5, 3)},
            r"is torch.float32 .* torch.int64",
        ),
        ("conditional", {"name_tokens": texts(4, [7, 9])}, r"\(4, 2\), expected .* \(5, 2\)"),
        ("conditional", {"name_tokens": texts(5, [7, -1])}, "name_tokens"),
        ("conditional", {"name_tokens": texts(5, [7, -1, 9])}, "name_tokens"),
        ("conditional", {"name_tokens": texts(5, [7, -2, 9])}, "name_tokens"),
        ("conditional", {"name_tokens": texts(5, [])}, "name_tokens"),
        ("conditional", {"name_tokens": texts(5, [7, 9], [8, 9])}, "name_tokens"),
        ("conditional", {"name_tokens": texts(5, [7, 560])}, "560"),
        ("conditional", {"name_tokens": texts(5, [7] * 75)}, "'class 0' needs 78 tokens"),
        ("conditional", {"text_prompt": draw(LENGTH, 65)}, r"\(3, 65\), expected .* \(3, 64\)"),
        ("conditional", {"up_weight": draw(64, 7)}, r"up_weight is .* expected .* \(64, 6\)"),
        ("merged", {"down": None}, "missing down"),
        (
            "merged",
            {"down": draw(2, 3, 2, WIDTH)},
            r"expected .* \(3, 3, 2, 128\)",
        ),
        (
            "merged",
            {"down": draw(3, WIDTH)},
            r"down is .* expected .* \(3, 3, 0, 128\)",
        ),
        ("merged", {"up": draw(3, 3, WIDTH, 4)}, r"up is .* 4\)"),
        ("adapter", {"class_weights": draw(4, EMBED)}, r"\(4, 48\), expected .* \(5, 48\)"),
    ],
)
def test_what_does_not_fit_a_form_is_named(
    clip: CLIP, form: str, changes: dict[str, Tensor | None], message: str
) -> None:
    changed = {**FORM_STATES[form], **changes}
    changed = {key: value for key, value in changed.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        FORMS[form].from_state(changed, clip, CLASSES)


def test_a_long_list_of_keys_is_cut() -> None:
    with pytest.raises(ValueError, match=r"a, b, c and 2 more.*\bx$"):
        check_tensors({"x": torch.zeros(1)}, dict.fromkeys("abcde", (1,)))
