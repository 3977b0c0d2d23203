"""Splits Unicode's single-code-point emoji into the ``emoji`` data set and the pre-training set.

Half of the emoji of every kind (rounded down) go to the data set: 8 for training, 2 for validation,
the rest for testing. All others, and those of no kind, go to pre-training. Run once; both lists are
committed:

    python -m tools.tiny_clip.make_split --emojibase FOLDER   # an unpacked emojibase-data package
"""

import argparse
import json
import random
from pathlib import Path

from tools.tiny_clip.kinds import LEFT_OUT, SUBGROUPS_OF_KIND

SEED, TRAIN, VAL = 2024, 8, 2
ROOT = Path(__file__).resolve().parents[2]
DATA_SET = ROOT / "src/crossprompt/data/benchmarks/emoji.json"
PRETRAINING = ROOT / "tools/tiny_clip/pretraining_emoji.json"


def read_emoji(emojibase: Path) -> dict[str, list[dict[str, object]]]:
    """Subgroup to its single-code-point emoji (code, name, other words), in Unicode's order."""
    groups = json.loads((emojibase / "meta/groups.json").read_text("utf-8"))["subgroups"]
    subgroups: dict[str, list[dict[str, object]]] = {}
    for entry in json.loads((emojibase / "en/data.json").read_text("utf-8")):
        codes = [code for code in entry["hexcode"].split("-") if code != "FE0F"]
        name = groups.get(str(entry.get("subgroup")))
        if len(codes) == 1 and name is not None and name not in LEFT_OUT:
            emoji = {"code": codes[0], "name": entry["label"], "words": entry.get("tags", [])}
            subgroups.setdefault(name, []).append(emoji)
    return subgroups


def assign(
    emoji: list[dict[str, object]], generator: random.Random
) -> tuple[dict[str, list[str]], list[dict[str, object]]]:
    """Draw half of a kind for the data set; returns its codes by split, and the remaining emoji."""
    held_out = generator.sample(emoji, len(emoji) // 2)
    codes = [str(entry["code"]) for entry in held_out]
    splits = {
        "train": codes[:TRAIN],
        "val": codes[TRAIN : TRAIN + VAL],
        "test": codes[TRAIN + VAL :],
    }
    return splits, [entry for entry in emoji if entry not in held_out]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emojibase", type=Path, required=True)
    subgroups = read_emoji(parser.parse_args().emojibase)
    generator = random.Random(SEED)
    classes, pretraining = {}, []
    for kind, names in SUBGROUPS_OF_KIND.items():
        emoji = [entry for name in names for entry in subgroups.pop(name)]
        classes[kind], rest = assign(emoji, generator)
        pretraining += [{**entry, "kind": kind} for entry in rest]
    for emoji in subgroups.values():
        pretraining += [{**entry, "kind": None} for entry in emoji]
    _write(DATA_SET, {"seed": SEED, "classes": classes})
    _write(PRETRAINING, pretraining)
    held = sum(len(part) for split in classes.values() for part in split.values())
    print(
        f"{len(classes)} kinds, {held} emoji in the data set, {len(pretraining)} for pre-training"
    )


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
