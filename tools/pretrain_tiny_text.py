"""Second stage of the embedded model: trains a text tower for the finished image tower.

    python -m tools.pretrain_tiny_text --run FOLDER [--steps 700]

The image tower is frozen and the text tower initialized again, as in LiT (arXiv 2111.07991).
Captions are names and hardly ever kinds of things, so that prompts have something to learn. Seeded,
and resumable: run the same command again. Reads the ``state.pt`` and the art of
``tools.pretrain_tiny_clip``, and writes ``text-state.pt`` and ``text-log.jsonl`` beside them in
about five minutes.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP, initialize
from crossprompt.clip.text_engine import TokenizedTexts
from crossprompt.utils.device import has_fast_bf16
from tools.pretrain_tiny_clip import (
    EMOJI,
    IMAGE,
    Recipe,
    build_optimizers,
    clip_config,
    contrast,
    descend,
    load_art,
    resume,
    save_state,
    start_positions,
)
from tools.tiny_clip import pictures
from tools.tiny_clip.captions import draw_names

VIEWS = 6
"""Random views of every picture, encoded once; each step draws one."""
SCALE = 8.0
"""Fixed logit scale. With a larger one, zero-shot predictions of kinds are confident and mostly
wrong, and training a prompt first makes all classes alike."""


@torch.no_grad()
def encode_views(clip: CLIP, pixels: Tensor) -> Tensor:
    """Normalized features of random views of all pictures: ``[pictures, VIEWS, embed]``."""
    generator = torch.Generator().manual_seed(1)
    parts = []
    for part in pixels.split(64):
        images = pictures.batch(part.repeat_interleave(VIEWS, 0), IMAGE.side, generator)
        features = normalize(clip.encode_images(images).float(), dim=-1)
        parts.append(features.unflatten(0, (-1, VIEWS)))
    return torch.cat(parts)


def train(run: Path, recipe: Recipe) -> None:
    """Train the text tower; the image tower stays as it is."""
    emoji = json.loads(EMOJI.read_text("utf-8"))
    pixels, shown = load_art(emoji, run, run / "art.npz")
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    generator = torch.Generator().manual_seed(recipe.seed)
    clip = initialize(CLIP(clip_config(tokenizer.get_vocab_size())), generator)
    start_positions(clip)
    prefix, first = "clip.image.", torch.load(run / "state.pt", weights_only=True)["model"]
    clip.image.load_state_dict(
        {k.removeprefix(prefix): v for k, v in first.items() if k.startswith(prefix)}
    )
    clip.logit_scale.data.fill_(math.log(SCALE))
    torch.set_num_threads(1)  # more threads bring nothing in so small a tower
    features = encode_views(clip, pixels)
    model = torch.nn.ModuleDict({"clip": clip})  # named as the first stage's, for the export
    optimizers = build_optimizers(model, recipe)
    start = resume(run / "text-state.pt", model, optimizers)
    began = time.time()
    for step in range(start, recipe.steps):
        choice = random.Random(recipe.seed * 1_000_003 + step)
        picked = choice.sample(range(len(shown)), recipe.batch)
        texts, true = draw_names([emoji[shown[row]] for row in picked], choice)
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(torch.device("cpu"))):
            text_features = clip.encode_texts(TokenizedTexts.of(ids, texts))[0].float()
        views = torch.tensor([choice.randrange(VIEWS) for _ in picked])
        cosines = features[picked, views] @ normalize(text_features, dim=-1).T
        loss = contrast(SCALE * cosines, torch.from_numpy(true))
        descend(loss, model, optimizers, recipe, step)
        if (step + 1) % 20 == 0:
            line = {
                "step": step + 1,
                "loss": round(loss.item(), 4),
                "seconds": round(time.time() - began, 1),
            }
            with (run / "text-log.jsonl").open("a" if step >= 20 else "w") as log:
                log.write(json.dumps(line) + "\n")
        save_state(run / "text-state.pt", model, optimizers, recipe, step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700)
    arguments = parser.parse_args()
    train(arguments.run, Recipe(arguments.steps, seed=2))


if __name__ == "__main__":
    main()
