"""Trains the embedded ``tiny`` CLIP from scratch on openly licensed emoji art.

    python -m tools.pretrain_tiny_clip --iconify FOLDER --run FOLDER [--steps 5200]

Seeded, and resumable: run the same command again after an interruption. Only the emoji in
``tools/tiny_clip/pretraining_emoji.json`` are rendered, none of the ``emoji`` data set.
tools/README.md describes how to fetch the art and how to export the run to
``src/crossprompt/clip/tiny``.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig, initialize
from crossprompt.clip.text_engine import TokenizedTexts
from crossprompt.utils.device import has_fast_bf16
from tools.tiny_clip import art, pictures, vocabulary
from tools.tiny_clip.captions import TEMPLATES, Captions

EMOJI = Path(__file__).parent / "tiny_clip/pretraining_emoji.json"
IMAGE = ImageConfig(side=72, patch=12, width=192, blocks=6, heads=3, mlp_width=768)
EMBED = 192


def clip_config(words: int) -> CLIPConfig:
    """The sizes of both towers for a vocabulary of ``words``."""
    text = TextConfig(vocabulary=words, context=77, width=128, blocks=6, heads=2, mlp_width=512)
    return CLIPConfig(IMAGE, text, EMBED, "gelu")


@dataclass(frozen=True)
class Recipe:
    """Settings of the training."""

    steps: int
    batch: int = 128
    lr: float = 1e-3
    inner_lr: float = 2e-3
    """Learning rate of the matrices inside the blocks."""
    weight_decay: float = 0.1
    warm_up: int = 100
    kept: float = 0.5
    """Fraction of patches that the image tower encodes, as in FLIP (arXiv 2212.00794)."""
    whole: float = 0.1
    """Fraction of the steps, at the end, in which it encodes all of them."""
    helper: float = 0.5
    """Weight of the helper's loss."""
    seed: int = 1


class Helper(torch.nn.Module):
    """Auxiliary classifier of emoji and kind from the image feature, not part of the checkpoint.

    It speeds up training, and sorts the image features by kind, which the captions do not name, so
    that few-shot training can gain from it.

    Args:
        emoji: the pre-training list.
    """

    def __init__(self, emoji: list[dict]) -> None:
        super().__init__()
        kinds = sorted({entry["kind"] for entry in emoji if entry["kind"]})
        self.kinds = torch.tensor([kinds.index(e["kind"]) if e["kind"] else -1 for e in emoji])
        self.name = torch.nn.Linear(EMBED, len(emoji))
        self.kind = torch.nn.Linear(EMBED, len(kinds))

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy of both, for image features of the emoji in ``rows``."""
        features = normalize(features, dim=-1) * EMBED**0.5
        by_name = cross_entropy(self.name(features), rows)
        return by_name + cross_entropy(self.kind(features), self.kinds[rows], ignore_index=-1)


def load_art(emoji: list[dict], iconify: Path, cache: Path) -> tuple[Tensor, list[int]]:
    """Load or render all pictures ``[pictures, 4, side, side]`` and their rows in ``emoji``."""
    if not cache.exists():
        rendered = art.render_all(emoji, iconify)
        rows = {entry["code"]: row for row, entry in enumerate(emoji)}
        shown = [rows[code] for style in rendered.values() for code in style]
        stack = np.stack([picture for style in rendered.values() for picture in style.values()])
        np.savez(cache, pictures=stack.transpose(0, 3, 1, 2), shown=np.array(shown))
    with np.load(cache) as saved:
        return torch.from_numpy(saved["pictures"]), saved["shown"].tolist()


def load_tokenizer(emoji: list[dict], path: Path) -> Tokenizer:
    """Load the tokenizer, trained once: the library breaks ties differently in every run."""
    if not path.exists():
        phrases = [
            w for entry in emoji for w in (entry["name"], entry["kind"] or "", *entry["words"])
        ]
        frames = 20 * [template.format("") for template in TEMPLATES]
        vocabulary.learn(phrases + frames).save(str(path))
    return Tokenizer.from_file(str(path))


def start_positions(clip: CLIP) -> None:
    """Scale text positions to OpenAI's standard deviation of 0.01, so that they do not dominate."""
    with torch.no_grad():
        clip.text.positions.mul_(0.01 / clip.text.positions.std())


def encode_visible(clip: CLIP, images: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    """Encode a random part of the patches, the same number for every image."""
    tokens = clip.image.embed(images)
    count = round(IMAGE.patches * kept)
    if count < IMAGE.patches:
        order = torch.rand(len(images), IMAGE.patches, generator=generator).argsort(1)[:, :count]
        index = order[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, index)], 1)
    tokens = clip.image.enter(tokens)
    for block in clip.image.blocks:
        tokens = block(tokens)
    return clip.image.pool(tokens)


def contrast(logits: Tensor, true: Tensor) -> Tensor:
    """Contrastive loss with several true captions per image (UniCL, arXiv 2204.03610)."""
    true = true.float()
    to_text = true / true.sum(1, keepdim=True)
    to_image = (true / true.sum(0, keepdim=True)).T
    image_loss = -(to_text * logits.log_softmax(1)).sum(1).mean()
    text_loss = -(to_image * logits.T.log_softmax(1)).sum(1).mean()
    return (image_loss + text_loss) / 2


def schedule(step: int, recipe: Recipe) -> float:
    """Factor of the learning rate: linear warm-up, then cosine to zero."""
    warm_up = min(1.0, (step + 1) / recipe.warm_up)
    return warm_up * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


def build_optimizers(model: torch.nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Build Muon for the matrices inside the blocks, which trains several times faster here than
    AdamW, and AdamW for the rest, without decay of norms, biases, positions and the scale."""
    named = dict(model.named_parameters())
    inner = {name for name, p in named.items() if p.ndim == 2 and ".blocks." in name}
    outer = [p for name, p in named.items() if p.ndim > 1 and name not in inner]
    vectors = [p for p in named.values() if p.ndim <= 1]
    muon = torch.optim.Muon(
        [named[name] for name in sorted(inner)],
        lr=recipe.inner_lr,
        weight_decay=recipe.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    groups = [
        {"params": outer, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [muon, torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98), eps=1e-6)]


def resume(path: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    """Load the state of ``save_state``, if any; returns the number of finished steps."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def descend(
    loss: Tensor,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    recipe: Recipe,
    step: int,
) -> None:
    """Take one step; parameters without a gradient stay unchanged."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer, lr in zip(optimizers, (recipe.inner_lr, recipe.lr), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule(step, recipe)
        optimizer.step()


def save_state(
    path: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    recipe: Recipe,
    step: int,
) -> None:
    """Write the state atomically, after every hundredth step and the last."""
    if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
        state = {
            "model": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "step": step + 1,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)


def train(recipe: Recipe, iconify: Path, run: Path) -> CLIP:
    """Train, logging to ``run/log.jsonl`` and resuming from ``run/state.pt``."""
    emoji = json.loads(EMOJI.read_text("utf-8"))
    run.mkdir(parents=True, exist_ok=True)
    pixels, shown = load_art(emoji, iconify, run / "art.npz")
    tokenizer = load_tokenizer(emoji, run / "tokenizer.json")
    captions = Captions(emoji)
    config = clip_config(tokenizer.get_vocab_size())
    torch.manual_seed(recipe.seed)
    clip = initialize(CLIP(config), torch.Generator().manual_seed(recipe.seed))
    start_positions(clip)
    helper = Helper(emoji)
    both = torch.nn.ModuleDict({"clip": clip, "helper": helper})
    optimizers = build_optimizers(both, recipe)
    start = resume(run / "state.pt", both, optimizers)
    began = time.time()
    for step in range(start, recipe.steps):
        choice = random.Random(recipe.seed * 1_000_003 + step)
        generator = torch.Generator().manual_seed(choice.getrandbits(40))
        picked = choice.sample(range(len(shown)), recipe.batch)
        texts, true = captions.draw([shown[row] for row in picked], choice)
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        kept = 1.0 if step >= recipe.steps * (1 - recipe.whole) else recipe.kept
        images = pictures.batch(pixels[picked], IMAGE.side, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(torch.device("cpu"))):
            text_features = clip.encode_texts(TokenizedTexts.of(ids, texts))[0].float()
            image_features = encode_visible(clip, images, kept, generator).float()
        cosines = normalize(image_features, dim=-1) @ normalize(text_features, dim=-1).T
        contrastive = contrast(clip.logit_scale.exp() * cosines, torch.from_numpy(true))
        naming = helper(image_features, torch.tensor([shown[row] for row in picked]))
        loss = contrastive + recipe.helper * naming
        descend(loss, both, optimizers, recipe, step)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=math.log(100))
        if (step + 1) % 20 == 0:
            line = {
                "step": step + 1,
                "loss": round(contrastive.item(), 4),
                "naming": round(naming.item(), 4),
                "scale": round(clip.logit_scale.exp().item(), 2),
                "seconds": round(time.time() - began, 1),
            }
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        save_state(run / "state.pt", both, optimizers, recipe, step)
    return clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iconify", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5200)
    arguments = parser.parse_args()
    train(Recipe(arguments.steps), arguments.iconify, arguments.run)


if __name__ == "__main__":
    main()
