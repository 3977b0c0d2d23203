"""CoOp: trainable context tokens before the class name.

Zhou et al., IJCV 2022, https://arxiv.org/abs/2109.01134. Deviations from the authors' public code:

* The class name always stands at the end (their default).
* The same epochs for all data sets; on ImageNet the authors train 50, whatever the number of shots
  (``--epochs 50``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import Recipe, TextMethod
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures


class CoOp(TextMethod):
    """Context optimization: a text prompt, one for all classes or one for each."""

    name = "coop"
    summary = "trainable words in front of the class name"
    paper = "Zhou et al., IJCV 2022, arXiv 2109.01134"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(TextMethod.Config):
        length: int = 16
        """Prompt tokens in front of the class name."""
        class_specific: bool = False
        """A separate prompt for every class, instead of one for all."""
        initial_words: str | None = None
        """Words whose first tokens, as many as the length, the prompt starts from, for example
        "a photo of a" with length 4; by default it starts at random."""

        def __post_init__(self) -> None:
            prompts.check_at_least("coop", self, length=1)
            require(
                self.initial_words is None or not self.class_specific,
                "coop: initial_words goes with one prompt for all classes; leave out one of "
                "initial_words and class_specific",
            )

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: CoOp.Config = config
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        if config.class_specific:
            self.names = self.names.with_room(config.length)  # the prompt is no shared prefix
            width = clip.config.text.width
            self.text_prompt = prompts.draw(len(class_names), config.length, width)
        elif config.initial_words is None:
            self.text_prompt = prompts.draw(config.length, clip.config.text.width)
        else:
            self.text_prompt = prompts.from_words(clip, config.initial_words, config.length)

    @classmethod
    def class_specific_parameters(cls, config: TextMethod.Config) -> str | None:
        own = isinstance(config, CoOp.Config) and config.class_specific
        return "a prompt of its own for every class" if own else None

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published, longer with more shots."""
        return Recipe(epochs=epochs_for(shots), batch_size=32, lr=0.002)

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        if self.config.class_specific:
            words = clip.text.embed(self.names).write_each(self.text_prompt)
            return prompts.encode_embedded_texts(clip, words, {})[0]
        return prompts.encode_classes(clip, self.names, {0: self.text_prompt})


def epochs_for(shots: int) -> int:
    """CoOp's training length for a number of images per class."""
    return 50 if shots <= 1 else 100 if shots <= 4 else 200
