"""``crossprompt bench`` in a process of its own that is killed by itself: KILL_AFTER WORDS…"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from crossprompt.bench.results import LINES
from crossprompt.cli import main
from crossprompt.training.checkpoint import Checkpoint


def read_lines(output: Path) -> dict[str, dict[str, Any]]:
    """Every line by its cell, without what may differ from run to run."""
    lines = [json.loads(line) for line in (output / LINES).read_text("utf-8").splitlines()]
    for line in lines:
        assert line.pop("seconds").keys() == {"train", "evaluate"}
        assert line.pop("machine")
    return {json.dumps(line["cell"], sort_keys=True): line for line in lines}


def die_after(epochs: int) -> None:
    """Kill this process when so many epochs are trained and saved."""
    save, saved = Checkpoint.save, list[int]()

    def save_and_die(self: Checkpoint, reports: Any) -> None:
        save(self, reports)
        saved.append(len(reports))
        if len(saved) == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoint.save = save_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
