"""Trainable parameters of every method on the backbone that most were published with."""

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.methods import METHODS
from tests.backbone import VIT_B_16
from tests.clip.random_clip import make_tokenizer

CLASSES, SHOTS, EMBED, TEXT_WIDTH, IMAGE_WIDTH, BLOCKS = 100, 16, 512, 512, 768, 12
LEARNED = {
    "zero_shot": 0,
    "linear_probe": CLASSES * EMBED + CLASSES,
    "tip_adapter": 0,
    "tip_adapter_f": SHOTS * CLASSES * EMBED,
    "clip_adapter": 2 * EMBED * (EMBED // 4),
    "taskres": CLASSES * EMBED,
    "coop": 16 * TEXT_WIDTH,
    "cocoop": 4 * TEXT_WIDTH + (EMBED + 1) * (EMBED // 16) + (EMBED // 16 + 1) * TEXT_WIDTH,
    "kgcoop": 4 * TEXT_WIDTH,
    "prograd": 16 * TEXT_WIDTH,
    "vpt": BLOCKS * 8 * IMAGE_WIDTH,
    "ivlp": 9 * 4 * (TEXT_WIDTH + IMAGE_WIDTH),
    "maple": 3_555_072,
    "promptsrc": 9 * 4 * (TEXT_WIDTH + IMAGE_WIDTH),
    "clip_lora": 184_320,
    "dcp": 11_048_448,
    "hicropl": 33_431_040,
    "pmpo": 4 * (4 * TEXT_WIDTH + TEXT_WIDTH * IMAGE_WIDTH + IMAGE_WIDTH),
    "mmap": 9 * 4 * 256 + 512 // 256 + 768 // 256,
}


@pytest.mark.parametrize(("name", "expected"), LEARNED.items())
def test_a_method_learns_as_much_as_published(name: str, expected: int) -> None:
    with torch.device("meta"):
        large = CLIP(VIT_B_16)
        large.tokenizer = make_tokenizer()
        method = METHODS[name]
        names = [f"class {number}" for number in range(CLASSES)]
        assert method(large, names, method.Config()).count_parameters(SHOTS) == expected
