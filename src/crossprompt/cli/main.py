"""Find the command, run it, and turn what goes wrong into one line and an exit code."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from crossprompt.cli import demo, evaluate, fit, predict
from crossprompt.cli.terminal import say_error
from crossprompt.errors import JobError, RequestError

COMMANDS = {"demo": demo, "fit": fit, "evaluate": evaluate, "predict": predict}
"""Name to module: ``SUMMARY``, ``EXAMPLE``, ``add_arguments`` and ``run``."""

FAILED, WRONG = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; those of the process by default.

    Returns:
        0, or 1 if the job failed, or 2 if the request was wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        parser = build_parser(words)
        options = parser.parse_args(words)
        return int(COMMANDS[options.command].run(options) or 0)
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else WRONG
    except BrokenPipeError:
        return FAILED
    except (RequestError, JobError, KeyboardInterrupt, Exception) as error:
        if debug:
            raise
        return explain(error)


def explain(error: BaseException) -> int:
    """Say in one line what went wrong, and choose the exit code."""
    if isinstance(error, RequestError):
        say_error(str(error))
        return WRONG
    if isinstance(error, JobError):
        say_error(str(error))
    elif isinstance(error, KeyboardInterrupt):
        say_error("stopped; a run with --output goes on from its last epoch with --resume")
    else:
        say_error(f"unexpected {type(error).__name__}: {error} (a traceback: --debug)")
    return FAILED


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; ``words`` says which method's settings to offer."""
    parser = argparse.ArgumentParser(
        prog="crossprompt",
        description="Adapt a frozen CLIP to a handful of labelled images per class.",
        epilog="example: crossprompt demo",
    )
    parser.add_argument(
        "--version", action="version", version=f"crossprompt {version('crossprompt')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=command.SUMMARY,
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(sub, words)
        sub.add_argument(
            "--debug", action="store_true", help="show a traceback when something fails"
        )
    return parser
