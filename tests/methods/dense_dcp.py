"""DCP as design section 5 states it, slowly: the oracle of ``crossprompt.methods.dcp``.

It shares no code with it. Every class is a row of all the text tower's context, padding included,
under one causal mask; weights are read by key from state dicts; query, key and value are separate.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from crossprompt.clip.model import CLIP

Weights = Mapping[str, Tensor]


def dense_dcp_logits(
    clip: CLIP,
    class_names: Sequence[str],
    learned: Weights,
    images: Tensor,
    *,
    depth: int,
    share: bool,
    variant: str,
    fuse: str,
) -> Tensor:
    """Logits ``[batch, classes]`` of the learned tensors, saved under their published keys."""
    weights = clip.state_dict()
    length = learned["text_prompt"].shape[0]
    image = embed_images(weights, images, clip.config.image.patch)
    prompts = learned["image_prompt"].expand(image.shape[0], -1, -1)
    image = norm(weights, "image.pre_norm", torch.cat([image, prompts], dim=1))
    text, ends = embed_texts(clip, class_names, learned["text_prompt"])
    context, blocks = text.shape[1], clip.config.image.blocks
    mask = torch.full((context, context), -torch.inf).triu(1)
    for block in range(blocks):
        if 1 <= block <= min(depth, blocks - 1):
            states, t = image[:, -length:], text[0, 1 : 1 + length]  # equal for all classes
            assert torch.allclose(text[:, 1 : 1 + length], t, atol=1e-4)
            v = {"mean": states.mean(0), "max": states.max(0).values, "first": states[0]}[fuse]
            module = 0 if share else block - 1
            new_v = cmpa_side(learned, f"cmpa.{module}.image", own=v, other=t)
            new_t = cmpa_side(learned, f"cmpa.{module}.text", own=t, other=v)
            image = torch.cat([image[:, :-length], new_v.expand(image.shape[0], -1, -1)], dim=1)
            if variant == "coupled":
                new_t = new_t.expand(text.shape[0], -1, -1)
                text = torch.cat([text[:, :1], new_t, text[:, 1 + length :]], dim=1)
        image = clip_block(weights, f"image.blocks.{block}", image, clip.config.image.heads, None)
        text = clip_block(weights, f"text.blocks.{block}", text, clip.config.text.heads, mask)
    image = norm(weights, "image.post_norm", image[:, 0]) @ weights["image.projection.weight"].T
    text = text[torch.arange(text.shape[0]), torch.tensor(ends)]
    text = norm(weights, "text.post_norm", text) @ weights["text.projection.weight"].T
    image, text = (x / x.norm(dim=-1, keepdim=True) for x in (image, text))
    return weights["logit_scale"].exp() * image @ text.T


def embed_images(weights: Weights, images: Tensor, patch: int) -> Tensor:
    """Class token and patches plus positions, one patch after the other."""
    rows = []
    for image in images:
        tokens = [weights["image.class_token"]]
        for top in range(0, image.shape[1], patch):
            for left in range(0, image.shape[2], patch):
                pixels = image[:, top : top + patch, left : left + patch].flatten()
                tokens.append(weights["image.patches.weight"].flatten(1) @ pixels)
        rows.append(torch.stack(tokens) + weights["image.positions"])
    return torch.stack(rows)


def embed_texts(clip: CLIP, names: Sequence[str], prompt: Tensor) -> tuple[Tensor, list[int]]:
    """``[classes, context, width]``: SOS, prompt, name, full stop, EOT, padding; where EOT is."""
    words, positions = clip.text.words.weight, clip.text.positions
    rows, ends = [], []
    for name in names:
        ids = torch.tensor([*clip.tokenizer.encode(f"{name}."), clip.tokenizer.end])
        row = torch.cat([words[clip.tokenizer.start][None], prompt, words[ids]])
        ends.append(row.shape[0] - 1)
        padding = words[:1].expand(positions.shape[0] - row.shape[0], -1)
        rows.append(torch.cat([row, padding]) + positions)
    return torch.stack(rows), ends


def cmpa_side(learned: Weights, key: str, own: Tensor, other: Tensor) -> Tensor:
    """u = own + MHA(LN1(W other), LN1(own), LN1(own)); u + MLP(LN2(u))."""
    projected = other @ learned[f"{key}.project.weight"].T + learned[f"{key}.project.bias"]
    query, memory = norm(learned, f"{key}.norm_1", projected), norm(learned, f"{key}.norm_1", own)
    attention = f"{key}.attention."
    mixed = attend(
        learned[attention + "in_proj_weight"],
        learned[attention + "in_proj_bias"],
        learned[attention + "out_proj.weight"],
        learned[attention + "out_proj.bias"],
        query[None],
        memory[None],
        heads=own.shape[-1] // 64,
        mask=None,
    )
    u = own + mixed[0]
    return u + mlp(learned, f"{key}.mlp", norm(learned, f"{key}.norm_2", u))


def clip_block(weights: Weights, key: str, x: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """A block of the frozen towers."""
    states = norm(weights, f"{key}.norm_1", x)
    attention = f"{key}.attention."
    x = x + attend(
        weights[attention + "qkv.weight"],
        weights[attention + "qkv.bias"],
        weights[attention + "out.weight"],
        weights[attention + "out.bias"],
        states,
        states,
        heads,
        mask,
    )
    return x + mlp(weights, f"{key}.mlp", norm(weights, f"{key}.norm_2", x))


def attend(
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    asking: Tensor,
    asked: Tensor,
    heads: int,
    mask: Tensor | None,
) -> Tensor:
    """Multi-head attention, a head at a time."""
    parts = zip(in_weight.chunk(3), in_bias.chunk(3), (asking, asked, asked), strict=True)
    query, key, value = (x @ weight.T + bias for weight, bias, x in parts)
    answers = []
    for q, k, v in zip(*(x.chunk(heads, dim=-1) for x in (query, key, value)), strict=True):
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        answers.append((scores if mask is None else scores + mask).softmax(-1) @ v)
    return torch.cat(answers, dim=-1) @ out_weight.T + out_bias


def mlp(weights: Weights, key: str, x: Tensor) -> Tensor:
    """Linear, QuickGELU, linear."""
    x = x @ weights[f"{key}.0.weight"].T + weights[f"{key}.0.bias"]
    x = x * torch.sigmoid(1.702 * x)
    return x @ weights[f"{key}.2.weight"].T + weights[f"{key}.2.bias"]


def norm(weights: Weights, key: str, x: Tensor) -> Tensor:
    """Layer norm."""
    return layer_norm(x, x.shape[-1:], weights[f"{key}.weight"], weights[f"{key}.bias"])
