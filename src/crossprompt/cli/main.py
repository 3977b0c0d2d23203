"""Find the command, run it, and turn what goes wrong into one line and an exit code."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from typing import NoReturn

from safetensors import SafetensorError
from torch.cuda import OutOfMemoryError

from crossprompt import distributed
from crossprompt.cli import (
    bench,
    data,
    demo,
    evaluate,
    fit,
    methods,
    predict,
    report,
    reproduce,
    serve,
)
from crossprompt.cli.terminal import say_error
from crossprompt.errors import JobError, RequestError
from crossprompt.methods import METHODS

COMMANDS = {
    "demo": demo,
    "fit": fit,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "data": data,
    "methods": methods,
    "bench": bench,
    "report": report,
    "reproduce": reproduce,
}
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
    try:
        options = parse(words)
        return int(COMMANDS[options.command].run(options) or 0)
    except SystemExit as stop:  # argparse has shown the help or the version
        return stop.code if isinstance(stop.code, int) else WRONG
    except BrokenPipeError:  # whoever reads has seen enough; nothing more can be written there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words:
            raise
        return explain(error)


def explain(error: BaseException) -> int:
    """Say in one line what went wrong, and choose the exit code."""
    # what these are of, all processes meet alike; anything else may be the trouble of one
    alike = type(error) in (RequestError, JobError, KeyboardInterrupt)
    if distributed.speaks() or not alike:
        say_error(_describe(error))
    return WRONG if isinstance(error, RequestError) else FAILED


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    match error:
        case RequestError() | JobError():
            return str(error)
        case KeyboardInterrupt():
            return "stopped"
        case OutOfMemoryError():
            return (
                "the device's memory is full; try a smaller --batch-size, --dtype bf16 or "
                "--device cpu"
            )
        case OSError() | SafetensorError() if "No space left" in text:
            return f"there is no space left to write to; free some and try again ({text})"
        case OSError(strerror=str(reason), filename=str(path)):
            return f"{path}: {reason}"
    return f"unexpected {type(error).__name__}: {text} (a traceback: --debug)"


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the words in one line, as every other error is said."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise RequestError(f"{message}; see {self.prog} --help")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command and its options.

    Raises:
        RequestError: a word is unknown, missing or impossible.
    """
    if not words:
        raise RequestError(
            f"no command was given; expected one of {', '.join(COMMANDS)}; see crossprompt --help"
        )
    parser = build_parser(words)
    options, unknown = parser.parse_known_args(words)
    if unknown:
        raise RequestError(_explain_unknown(unknown[0], options))
    return options


def build_parser(words: Sequence[str]) -> Parser:
    """The parser of all commands; ``words`` says which method's settings to offer."""
    parser = Parser(
        prog="crossprompt",
        description="Adapt a frozen CLIP to a handful of labelled images per class.",
        epilog="example: crossprompt demo",
        allow_abbrev=False,
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
        command.add_arguments(sub, words if words[:1] == [name] else [])
        sub.add_argument(
            "--debug", action="store_true", help="show a traceback when something fails"
        )
        sub.set_defaults(offered=re.findall(r"--[\w-]+", sub.format_usage()))
    return parser


def _explain_unknown(word: str, options: argparse.Namespace) -> str:
    """Why a word is not understood, and what may have been meant."""
    option = word.partition("=")[0]
    see = f"see crossprompt {options.command} --help"
    if not option.startswith("-"):
        return f"{word!r} is one word too many; {see}"
    field = option.removeprefix("--").removeprefix("no-").replace("-", "_")
    owners = [
        name
        for name, method in METHODS.items()
        if field in (setting.name for setting in method.Config.describe())
    ]
    if options.command == "fit" and owners:
        return f"{option} is a setting of {', '.join(owners)}, not of {options.method}; {see}"
    near = get_close_matches(option, options.offered, n=1)
    return f"there is no option {option}; {f'did you mean {near[0]}?' if near else see}"
