"""Towers with a prompt of their own before some blocks, slowly: the oracle of ``prompted``.

It shares no code with it: one row per class with all the context's padding, one image after the
other, attention a head at a time.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from tests.clip.dense_text import dense_text_features
from tests.methods.dense_dcp import clip_block, embed_images, norm


def dense_logits(
    clip: CLIP,
    class_names: Sequence[str],
    images: Tensor,
    text_prompts: Sequence[Tensor],
    image_prompts: Sequence[Tensor],
) -> Tensor:
    """Logits ``[batch, classes]`` of prompts ``[length, width]``, one for each of the first blocks
    of a tower."""
    texts = clip.tokenizer.tokenize_names(class_names)
    prompts = {block: prompt[None] for block, prompt in enumerate(text_prompts)}
    classes = dense_text_features(clip, texts, prompts)[0]
    image = dense_image_features(clip, images, dict(enumerate(image_prompts)))
    return clip.logit_scale.exp() * normalize(image, dim=-1) @ normalize(classes, dim=-1).T


def dense_image_features(clip: CLIP, images: Tensor, prompts: Mapping[int, Tensor]) -> Tensor:
    """Features ``[batch, embed]`` of images whose last tokens are replaced before some blocks."""
    weights = clip.state_dict()
    features = []
    for x in embed_images(weights, images, clip.config.image.patch):
        own = x.shape[0]
        if 0 in prompts:
            x = torch.cat([x, prompts[0]])
        x = norm(weights, "image.pre_norm", x)
        for block in range(clip.config.image.blocks):
            if block > 0 and block in prompts:
                x = torch.cat([x[:own], prompts[block]])
            x = clip_block(
                weights, f"image.blocks.{block}", x[None], clip.config.image.heads, None
            )[0]
        x = norm(weights, "image.post_norm", x[0])
        features.append(weights["image.projection.weight"] @ x)
    return torch.stack(features)
