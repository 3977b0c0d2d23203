"""Entry point of ``crossprompt``, ``python -m crossprompt`` and ``accelerate launch -m
crossprompt``."""

import sys

from crossprompt.utils.process import leave_on_interrupt


def main() -> int:
    """Run one command; see ``crossprompt.cli.main``."""
    leave_on_interrupt()
    from crossprompt.cli import main as run  # slow enough to be interrupted

    return run()


if __name__ == "__main__":
    sys.exit(main())
