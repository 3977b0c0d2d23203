"""The measured workload: DCP's training step on ViT-B/16, at real sizes with random weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tokenizers import models, pre_tokenizers
from torch import Tensor

from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig, initialize
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.tokenizer import END, START, SUFFIX, Tokenizer, clip_backend
from crossprompt.methods import build_method
from crossprompt.methods.dcp import DCP
from crossprompt.training.train import build_optimizer
from crossprompt.utils.device import DTYPES

VIT_B_16 = CLIPConfig(
    image=ImageConfig(side=224, patch=16, width=768, blocks=12, heads=12, mlp_width=3072),
    text=TextConfig(vocabulary=49408, context=77, width=512, blocks=12, heads=8, mlp_width=2048),
    embed=512,
)
NARROW = replace(
    VIT_B_16,
    image=replace(VIT_B_16.image, side=48, width=64, heads=1, mlp_width=64),
    text=replace(VIT_B_16.text, vocabulary=1300, width=64, heads=1, mlp_width=64),
    embed=32,
)
"""The same number of blocks, but one head and few patches: for tests."""
BACKBONES = {"vit-b-16": VIT_B_16, "narrow": NARROW}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = tuple(first + second for first in LETTERS for second in LETTERS)
"""Every one is a single token of ``make_tokenizer``."""
IMAGENET_TOKENS = {1: 246, 2: 508, 3: 154, 4: 50, 5: 22, 6: 10, 7: 8, 9: 1, 12: 1}
"""Tokens of a class name to how many of ImageNet's 1,000 names, as CoOp has them, have as many."""
TOKENS = 4
"""Default number of tokens of a class name."""
PROMPT, DEPTH = 16, 9
"""DCP's published length and depth."""
BATCH = 4
"""Images in a training step, as published."""


def make_tokenizer() -> Tokenizer:
    """Tokenizer with a small CLIP vocabulary: bytes, bytes that end a word, and ``WORDS``."""
    single = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(word[0], word[1] + SUFFIX) for word in WORDS]
    merged = ("".join(pair) for pair in merges)
    tokens = [*single, *(byte + SUFFIX for byte in single), *merged, START, END]
    ids = {token: number for number, token in enumerate(tokens)}
    return Tokenizer(
        clip_backend(models.BPE(ids, merges, unk_token=END, end_of_word_suffix=SUFFIX))
    )


def names(classes: int, tokens: int = TOKENS) -> list[str]:
    """Different class names of ``tokens`` tokens each.

    Raises:
        ValueError: there are fewer different names.
    """
    if classes > len(WORDS) ** tokens:
        raise ValueError(f"there are {len(WORDS)} words: too few for {classes} names of {tokens}")
    counts = range(classes)
    return [
        " ".join(WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(tokens))
        for number in counts
    ]


def imagenet_names() -> list[str]:
    """1,000 different class names with the token lengths of ImageNet's."""
    return [name for tokens, count in IMAGENET_TOKENS.items() for name in names(count, tokens)]


def names_of(case: str) -> list[str]:
    """Class names of a case of ``--classes``: a number, or ``imagenet``."""
    return imagenet_names() if case == "imagenet" else names(int(case))


def random_clip(
    dtype: torch.dtype, device: torch.device, config: CLIPConfig = VIT_B_16, seed: int = 0
) -> CLIP:
    """Frozen CLIP with random weights, never in memory in more than one dtype."""
    with torch.device("meta"):
        clip = CLIP(config)
    scale = clip.logit_scale
    clip = clip.to(dtype).to_empty(device=device)
    clip.logit_scale.data = torch.empty_like(scale, dtype=torch.float32, device=device)
    initialize(clip, torch.Generator(device).manual_seed(seed))
    clip.tokenizer = make_tokenizer()
    clip.preprocess = Preprocess(config.image.side, config.image.side)
    clip.name, clip.weights_hash = "random", "none"
    return clip.eval().requires_grad_(False)


@dataclass(frozen=True)
class Setting:
    """Options of a measurement."""

    backbone: str
    """One of ``BACKBONES``."""
    device: torch.device
    dtypes: tuple[str, ...]
    """Dtypes of our form, measured one after the other."""
    batch_size: int
    repeats: int = 1
    """Rounds that count."""

    @property
    def config(self) -> CLIPConfig:
        return BACKBONES[self.backbone]

    def clip(self, dtype: str) -> CLIP:
        return random_clip(DTYPES[dtype], self.device, self.config)

    def workload(self, case: str, dtype: str) -> "Workload":
        """Training step for the classes of a case."""
        return Workload.of(self.clip(dtype), names_of(case), self.batch_size)


def random_images(clip: CLIP, count: int, seed: int = 0) -> Tensor:
    """Random preprocessed images ``[count, 3, side, side]``."""
    side, generator = clip.config.image.side, torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator).to(clip.device)


@dataclass
class Workload:
    """Training step of DCP, with 16 prompt tokens that are rewritten before blocks 1 to 9."""

    clip: CLIP
    method: DCP
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor

    @classmethod
    def of(
        cls, clip: CLIP, class_names: Sequence[str], batch: int = BATCH, **settings: Any
    ) -> "Workload":
        """Build the step on random images with random labels."""
        method = build_method("dcp", clip, class_names, length=PROMPT, depth=DEPTH, **settings)
        assert isinstance(method, DCP)
        recipe = method.recipe(shots=16)
        # the learning rate of the first epoch, so that the measured work does not drift
        optimizer = build_optimizer(method, replace(recipe, lr=recipe.first_lr))
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(len(class_names), (batch,), generator=generator)
        return cls(clip, method, optimizer, random_images(clip, batch), labels.to(clip.device))

    def backward(self) -> None:
        """Compute the gradients of all trainable parameters."""
        self.optimizer.zero_grad(set_to_none=True)
        self.method.loss(self.clip, self.images, self.labels).backward()

    def step(self) -> None:
        self.backward()
        self.optimizer.step()

    def name_tokens(self) -> int:
        """Number of tokens of all class names, with their full stops and ends of text."""
        return sum(len(own) for own in self.method.names.own)
