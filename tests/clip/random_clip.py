"""Small CLIPs with random weights, each of which matters: no bias is zero and no norm is one."""

import torch
from tokenizers import models, pre_tokenizers

from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.tokenizer import END, START, SUFFIX, Tokenizer, clip_backend

WORDS = ("a photo of a red cat", "dogs and cats", "hot air balloon", "tabby", "yorkshire terrier")
SMALL = CLIPConfig(
    image=ImageConfig(side=32, patch=8, width=128, blocks=2, heads=2, mlp_width=256),
    text=TextConfig(vocabulary=560, context=24, width=64, blocks=3, heads=1, mlp_width=192),
    embed=48,
)


def make_tokenizer() -> Tokenizer:
    """A vocabulary of CLIP's kind: every byte, alone and ending a word, and each word of ``WORDS``.

    The merges are written down because those that the library learns differ from call to call.
    """
    merges = {}  # in order: the first letter takes in the others one by one
    for word in " ".join(WORDS).split():
        letters = [*word[:-1], word[-1] + SUFFIX]
        for end in range(1, len(letters)):
            merges["".join(letters[:end]), letters[end]] = "".join(letters[: end + 1])
    single = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*single, *(byte + SUFFIX for byte in single), *merges.values(), START, END]
    ids = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    model = models.BPE(ids, [*merges], unk_token=END, end_of_word_suffix=SUFFIX)
    return Tokenizer(clip_backend(model))


def random_weights(config: CLIPConfig, seed: int = 0) -> CLIP:
    """A CLIP whose activations stay near one and whose every parameter shows in the features."""
    with torch.device("meta"):  # PyTorch's own initial values would take longer than the test
        clip = CLIP(config)
    clip.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in clip.named_parameters():
            if name == "logit_scale":
                parameter.fill_(3.0)
            elif parameter.ndim == 1 or "positions" in name or "words" in name:
                parameter.normal_(0, 0.3, generator=generator)
                parameter.add_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            else:
                inputs = parameter[0].numel()
                parameter.normal_(0, inputs**-0.5, generator=generator)
    return clip.eval().requires_grad_(False)


def make_clip(config: CLIPConfig = SMALL, seed: int = 0) -> CLIP:
    """A random CLIP with what ``save_clip`` needs."""
    clip = random_weights(config, seed)
    clip.tokenizer = make_tokenizer()
    clip.preprocess = Preprocess(config.image.side, config.image.side)
    clip.name, clip.weights_hash = "random", "none"
    return clip
