"""The authors' computation of DCP, as fast as it gets without omitting anything.

Source: https://github.com/GingL/CMPA (clip/model.py, trainers/cmpa.py). Every class is a row of all
77 tokens under a causal mask; both towers run for every batch, in evaluation too; every token goes
through every block. It uses PyTorch's fused attention and batched products, and no gradients of
frozen weights. The trainable parameters are those of a ``DCP``, so that both can be compared.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, scaled_dot_product_attention

from benchmarks.workload import PROMPT
from crossprompt.clip.blocks import Block
from crossprompt.clip.model import CLIP, CLIPConfig
from crossprompt.methods.dcp import DCP

WEIGHTS = 200e6
"""Numbers of ViT-B/16, the trainable parameters, their gradients and the optimizer's state."""
LIBRARIES = 0.4e9
"""Bytes of Python and PyTorch."""


class Dense:
    """DCP with the mean over images, in training and in evaluation.

    Args:
        clip: the frozen backbone.
        method: holds the trainable parameters; of its computation only CMPA is used.
    """

    def __init__(self, clip: CLIP, method: DCP) -> None:
        self.clip, self.method = clip, method
        self.length, context = method.config.length, clip.config.text.context
        tokenizer = clip.tokenizer
        own = [[*tokenizer.encode(f"{name}."), tokenizer.end] for name in method.class_names]
        rows = torch.zeros(len(own), context, dtype=torch.long)
        for row, ids in zip(rows, own, strict=True):
            row[0] = tokenizer.start
            row[1 + self.length : 1 + self.length + len(ids)] = torch.tensor(ids)
        ends = torch.tensor([self.length + len(ids) for ids in own])
        with torch.no_grad():
            self.words = clip.text.words(rows.to(clip.device))
        self.ends = ends.to(clip.device)

    def logits(self, images: Tensor) -> Tensor:
        """Logits ``[batch, classes]`` of images."""
        clip = self.clip
        image = clip.image.embed(images)
        image = clip.image.pre_norm(self._write(image, image.shape[1], self.method.image_prompt))
        text = self._write(self.words, 1, self.method.text_prompt) + clip.text.positions
        blocks = zip(clip.image.blocks, clip.text.blocks, strict=True)
        for depth, (image_block, text_block) in enumerate(blocks):
            if 0 < depth <= self.method.config.depth:
                image, text = self._couple(depth, image, text)
            image = run_block(image_block, image, causal=False)
            text = run_block(text_block, text, causal=True)
        rows = torch.arange(text.shape[0], device=text.device)
        features = clip.image.projection(clip.image.post_norm(image[:, 0]))
        classes = clip.text.projection(clip.text.post_norm(text[rows, self.ends]))
        return clip.logit_scale.exp() * normalize(features, dim=-1) @ normalize(classes, dim=-1).T

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(self.logits(images), labels)

    def _couple(self, depth: int, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        start, end, config = image.shape[1] - self.length, 1 + self.length, self.method.config
        cmpa = self.method.cmpa[0 if config.share else depth - 1]
        # before its own block, the prompt is the same in the text of every class
        new_image, new_text = cmpa(image[:, start:].mean(0, keepdim=True), text[:1, 1:end])
        if config.variant == "coupled":
            text = self._write(text, 1, new_text[0])
        return self._write(image, start, new_image[0]), text

    def _write(self, tokens: Tensor, start: int, prompt: Tensor) -> Tensor:
        """Replace tokens of every row by a prompt."""
        rows, stop = prompt.expand(tokens.shape[0], -1, -1), start + self.length
        return torch.cat([tokens[:, :start], rows, tokens[:, stop:]], dim=1)


def run_block(block: Block, x: Tensor, causal: bool) -> Tensor:
    """Pass all tokens through a block, with the activation function as the authors write it."""
    attention, expand, shrink = block.attention, block.mlp[0], block.mlp[2]
    qkv = attention.qkv(block.norm_1(x)).unflatten(-1, (3, attention.heads, -1))
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(query, key, value, is_causal=causal)
    x = x + attention.out(mixed.transpose(1, 2).flatten(2))
    hidden = expand(block.norm_2(x))
    return x + shrink(hidden * torch.sigmoid(1.702 * hidden))


def estimated_memory(classes: int, batch: int, config: CLIPConfig) -> float:
    """Estimate the peak bytes of a training step in fp32: weights and stored activations.

    Args:
        classes: rows of the text tower.
        batch: images.
        config: sizes of the towers.
    """
    tokens = {
        "image": batch * (1 + config.image.patches + PROMPT),
        "text": classes * config.text.context,
    }
    activations = sum(
        tokens[name] * tower.blocks * (6 * tower.width + 3 * tower.mlp_width)
        for name, tower in (("image", config.image), ("text", config.text))
    )
    return 4 * (activations + WEIGHTS) + LIBRARIES
