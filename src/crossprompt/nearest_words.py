"""The words that learned text prompts are near to (Zhou et al., IJCV 2022,
https://arxiv.org/abs/2109.01134, table 4): what can be said of them, which is often little."""

from collections.abc import Iterator

import torch
from torch import Tensor

from crossprompt.classifier import Classifier

PromptWords = list[list[tuple[str, float]]]
"""For each token of a prompt, the nearest words with their Euclidean distances, nearest first."""


def nearest_words(classifier: Classifier, count: int = 5) -> dict[str, PromptWords]:
    """The words of the vocabulary that each token of each text prompt is nearest to.

    Args:
        classifier: of any method; one that learns no text prompt has none.
        count: words for each token.

    Returns:
        Name of a prompt to its tokens' words. Prompts of later blocks are left out: they stand
        among states, not among words.
    """
    words = classifier.clip.text.words.weight.detach().float()
    found = {}
    for name, prompt in _prompts(classifier):
        distances = torch.cdist(
            prompt.float().to(words.device), words, compute_mode="donot_use_mm_for_euclid_dist"
        )
        nearest = distances.topk(min(count, words.shape[0]), largest=False)
        found[name] = [
            [(classifier.clip.tokenizer.word(id), value) for id, value in zip(*row, strict=True)]
            for row in zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
        ]
    return found


def _prompts(classifier: Classifier) -> Iterator[tuple[str, Tensor]]:
    """Name and ``[length, text_width]`` of every prompt that enters the text tower with words."""
    for key, value in classifier.method.state_dict().items():
        if key not in ("text_prompt", "text_prompts", "text_prompts.0"):
            continue
        if value.ndim == 2:
            yield key, value
            continue
        names = classifier.class_names
        own = value.shape[0] == len(names) and key == "text_prompt"  # a prompt for every class
        for number, prompt in enumerate(value):
            yield f"{key} of {names[number]}" if own else f"{key} {number + 1}", prompt
