"""How to compute, and how much at a time, as options."""

import argparse

from crossprompt.prediction import BATCH


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and in what, to compute."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto (bf16 where the hardware has it), fp32, bf16 or fp16 (default: auto)",
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """How many images to classify at a time."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=BATCH,
        metavar="INT",
        help=f"images at a time (default: {BATCH})",
    )


def positive(word: str) -> int:
    """The whole number above 0 that a word says."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number above 0")
    return int(word)


def not_negative(word: str) -> float:
    """The number of 0 or more that a word says."""
    try:
        if 0 <= (number := float(word)) < float("inf"):
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{word!r} is not a number of 0 or more")
