"""The same random weights in ours and in ``transformers.CLIPModel`` must give the same features."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from crossprompt.clip.load import build
from crossprompt.clip.locate import from_hugging_face, to_hugging_face
from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig
from crossprompt.clip.state_dict import HUGGING_FACE, StateDict, sources
from crossprompt.clip.text_engine import TokenizedTexts
from tests.clip.random_clip import SMALL, random_weights

WIDE = CLIPConfig(
    image=ImageConfig(side=48, patch=16, width=192, blocks=1, heads=3, mlp_width=768),
    text=TextConfig(vocabulary=99, context=77, width=128, blocks=2, heads=2, mlp_width=512),
    embed=32,
    activation="gelu",
)
NARROW = CLIPConfig(  # a side that is no multiple of the patch, heads that are not 64 wide
    image=ImageConfig(side=23, patch=7, width=48, blocks=3, heads=4, mlp_width=64),
    text=TextConfig(vocabulary=40, context=9, width=36, blocks=1, heads=3, mlp_width=100),
    embed=20,
)
VIT_B_16 = CLIPConfig(
    image=ImageConfig(side=224, patch=16, width=768, blocks=12, heads=12, mlp_width=3072),
    text=TextConfig(vocabulary=49408, context=77, width=512, blocks=12, heads=8, mlp_width=2048),
    embed=512,
)


def twins(config: CLIPConfig) -> tuple[CLIP, transformers.CLIPModel]:
    """Theirs from ours, ours again from theirs: weights that went through the key table."""
    start, end = config.text.vocabulary - 2, config.text.vocabulary - 1
    settings = to_hugging_face(config, start, end)
    assert from_hugging_face(settings) == config
    state: dict[str, Tensor] = {}
    ours = random_weights(config)
    for name, source in sources(HUGGING_FACE, config).items():
        state.update(source.write(ours.state_dict()[name]))
    with torch.device("meta"):
        theirs = transformers.CLIPModel(transformers.CLIPConfig(**settings))
    theirs.load_state_dict(state, strict=True, assign=True)
    for tower in (theirs.text_model, theirs.vision_model):  # the buffers that are in no file
        embeddings = tower.embeddings
        embeddings.position_ids = torch.arange(embeddings.position_ids.shape[1])[None]
    shapes = {key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()}
    checkpoint = StateDict(Path("twin"), shapes, theirs.state_dict().__getitem__)
    ours = build(config, checkpoint, torch.device("cpu"), torch.float32)
    return ours, theirs.eval().requires_grad_(False)


def random_texts(config: CLIPConfig, own_lengths: list[int]) -> TokenizedTexts:
    """Texts of the given numbers of words between start and end."""
    generator = torch.Generator().manual_seed(0)
    start, end = config.text.vocabulary - 2, config.text.vocabulary - 1
    words = [torch.randint(0, start, (n,), generator=generator).tolist() for n in own_lengths]
    own = tuple((*ids, end) for ids in words)
    return TokenizedTexts((start,), own, tuple(str(n) for n in own_lengths))


def padded(texts: TokenizedTexts, context: int) -> Tensor:
    """``[texts, context]`` as ``transformers`` takes them, padded with the end of text."""
    rows = [(*texts.shared, *own) for own in texts.own]
    return torch.tensor([[*row, *[row[-1]] * (context - len(row))] for row in rows])


def assert_same_features(
    ours: CLIP, theirs: transformers.CLIPModel, images: Tensor, texts: TokenizedTexts
) -> None:
    ids = padded(texts, ours.config.text.context)
    expected = theirs(input_ids=ids, pixel_values=images, attention_mask=None)
    image = theirs.get_image_features(images).pooler_output
    text = theirs.get_text_features(ids).pooler_output
    assert min(image.abs().mean(), text.abs().mean()) > 0.1  # the tolerance means something
    image_features, text_features = ours.encode_images(images), ours.encode_texts(texts)[0]
    torch.testing.assert_close(image_features, image, atol=1e-5, rtol=0)
    torch.testing.assert_close(text_features, text, atol=1e-5, rtol=0)
    logits = ours.logits(image_features, text_features)
    torch.testing.assert_close(logits, expected.logits_per_image, atol=1e-4, rtol=0)  # times e^3


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("config", [SMALL, WIDE, NARROW], ids=["small", "wide", "narrow"])
def test_features_equal_those_of_transformers(config: CLIPConfig, activation: str) -> None:
    config = replace(config, activation=activation)
    images = torch.randn(3, 3, config.image.side, config.image.side, generator=torch.Generator())
    room = config.text.context - 2
    texts = random_texts(config, [3, room, 1, 0, 3, room // 2])  # one fills the context
    assert len(texts.own[1]) + 1 == config.text.context
    assert_same_features(*twins(config), images, texts)


def test_the_activations_differ_by_more_than_the_tolerance() -> None:
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator())
    one, other = (twins(replace(SMALL, activation=name))[0] for name in ("quick_gelu", "gelu"))
    difference = (one.encode_images(images) - other.encode_images(images)).abs().max()
    assert difference > 1e-3


@pytest.mark.slow
def test_vit_b_16_equals_that_of_transformers() -> None:
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator())
    texts = random_texts(VIT_B_16, [2, 75])
    assert_same_features(*twins(VIT_B_16), images, texts)


def test_config_defaults_are_those_of_transformers() -> None:
    assert from_hugging_face({"model_type": "clip"}) == from_hugging_face(
        transformers.CLIPConfig().to_dict()
    )
