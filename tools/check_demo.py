"""Checks the results of the demo: python tools/check_demo.py runs/demo/results.json."""

import json
import sys
from pathlib import Path
from statistics import mean

SECONDS = 240
GAIN = 10.0
"""Points of DCP over zero-shot in the source style, at the largest number of shots."""
TIMES_CHANCE = 4
CLASSES = 24
SEEDS = 3


def main(path: Path) -> int:
    """Print every requirement with its value; returns 1 if one is not met."""
    results = json.loads(path.read_text("utf-8"))
    shots = max(row["shots"] for row in results["rows"])
    found = {
        (row["method"], row["style"]): 100 * mean(row["accuracy"])
        for row in results["rows"]
        if row["shots"] == shots
    }
    gains = {
        style: found["dcp", style] - found["zero_shot", style]
        for method, style in found
        if method == "dcp"
    }
    zero_shot, chance = found["zero_shot", "twemoji"], 100 / results["classes"]
    seeds = min(len(row["seeds"]) for row in results["rows"])
    requirements = [
        (f"seeds >= {SEEDS}", seeds, seeds >= SEEDS),
        (f"classes >= {CLASSES}", results["classes"], results["classes"] >= CLASSES),
        (f"seconds <= {SECONDS}", results["seconds"], results["seconds"] <= SECONDS),
        (f"zero-shot >= {TIMES_CHANCE} x chance", zero_shot, zero_shot >= TIMES_CHANCE * chance),
        (f"DCP - zero-shot >= {GAIN} on twemoji", gains["twemoji"], gains["twemoji"] >= GAIN),
        *((f"DCP > zero-shot on {style}", gain, gain > 0) for style, gain in gains.items()),
    ]
    failed = 0
    for requirement, value, met in requirements:
        failed += not met
        print(f"{'ok' if met else 'FAILED':8}{requirement}: {value:.1f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
