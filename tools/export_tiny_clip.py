"""Writes a finished pre-training run as the embedded checkpoint, in Hugging Face's folder format.

python -m tools.export_tiny_clip --run FOLDER [--output src/crossprompt/clip/tiny]
"""

import argparse
import shutil
from pathlib import Path

import torch

from crossprompt.clip.load import save_clip
from crossprompt.clip.model import CLIP
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.tokenizer import Tokenizer
from tools.pretrain_tiny_clip import IMAGE, clip_config

ASSETS = Path(__file__).resolve().parents[1] / "src/crossprompt/clip/tiny"


def main() -> None:
    """Read the state of both stages; write fp16 weights and the training logs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    state = torch.load(arguments.run / "text-state.pt", weights_only=True)
    tokenizer = Tokenizer.from_file(arguments.run / "tokenizer.json")
    clip = CLIP(clip_config(tokenizer.size))
    weights = {
        k.removeprefix("clip."): v for k, v in state["model"].items() if k.startswith("clip.")
    }
    clip.load_state_dict(weights)
    clip.tokenizer, clip.preprocess = tokenizer, Preprocess(IMAGE.side, IMAGE.side)
    save_clip(clip, arguments.output, torch.float16)
    for log, name in (("log", "training-log"), ("text-log", "text-training-log")):
        shutil.copy(arguments.run / f"{log}.jsonl", arguments.output / f"{name}.jsonl")
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"{arguments.output}: step {state['step']}, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
