"""Find the command, run it, and turn what goes wrong into one line and an exit code."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

from crossprompt.cli.console import say_error
from crossprompt.errors import JobError, RequestError
from crossprompt.utils.process import raise_on_interrupt, speaks
from crossprompt.utils.text import nearest, one_line


class Command:
    """A command, whose module is imported when more than its summary is asked for.

    Args:
        name: of its module, which has ``EXAMPLE``, ``add_arguments`` and ``run``.
        summary: one sentence.
    """

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(f"crossprompt.cli.{self.name}"), name)


SUMMARIES = {
    "demo": "Train and compare four methods on the embedded model and data, in a few minutes.",
    "fit": "Learn a classifier from a few labelled images per class.",
    "evaluate": "Measure a saved classifier on labelled images.",
    "predict": "Classify images with a saved classifier.",
    "classes": "Make a saved classifier tell other classes apart, without training.",
    "info": "Show what is inside a saved or an exported classifier.",
    "export": "Write a saved classifier as one file, which ONNX Runtime or torch can run alone.",
    "explain": "Show where a classifier looked, and which words its prompts are near to.",
    "push": "Put a saved classifier on the Hugging Face hub.",
    "serve": "Classify images over HTTP, with a page to try it on.",
    "data": "List the benchmark data sets, or check that one is complete and in its place.",
    "methods": "List the methods: what each learns, how much, and where it comes from.",
    "bench": "Train and test every combination of data sets, methods, shots and seeds.",
    "report": "Write tables and pictures of the results of crossprompt bench.",
    "reproduce": "Repeat a paper's evaluation: list its runs, and compute them.",
}
"""Name of a command, and of its module, to what it does."""
COMMANDS = {name: Command(name, summary) for name, summary in SUMMARIES.items()}
"""Name to command."""

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
        options = parse(words)  # which imports what the command needs
        raise_on_interrupt()
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
    if speaks() or not alike:
        say_error(_describe(error))
    return WRONG if isinstance(error, RequestError) else FAILED


def _describe(error: BaseException) -> str:
    text = one_line(error)
    match error:
        case RequestError() | JobError():
            return str(error)
        case KeyboardInterrupt():
            return "stopped"
        case _ if _is("OutOfMemoryError", error):
            return (
                "the device's memory is full; try a smaller --batch-size, --dtype bf16 or "
                "--device cpu"
            )
        case ModuleNotFoundError(name=str(name)):
            return (
                f"the package {name} is not installed, which this command needs; pip install "
                "crossprompt brings it (what crossprompt export wrote does without most)"
            )
        case _ if "No space left" in text and (
            isinstance(error, OSError) or _is("SafetensorError", error)
        ):
            return f"there is no space left to write to; free some and try again ({text})"
        case OSError(strerror=str(reason), filename=str(path)):
            return f"{path}: {reason}"
    return f"unexpected {type(error).__name__}: {text} (a traceback: --debug)"


def _is(name: str, error: BaseException) -> bool:
    """Whether it is torch's or safetensors' own, which a command may do without importing."""
    return type(error).__name__ == name


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
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        near = nearest(words[0], COMMANDS)
        hint = f"did you mean {near}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise RequestError(f"there is no command {words[0]!r}; {hint}")
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
    asked = next((word for word in words if word in COMMANDS), None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        if name != asked:
            commands.add_parser(name, help=command.summary)
            continue
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(sub, words)
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
    if options.command == "fit" and (owners := _owners(option)):
        return f"{option} is a setting of {', '.join(owners)}, not of {options.method}; {see}"
    near = nearest(option, options.offered)
    return f"there is no option {option}; {f'did you mean {near}?' if near else see}"


def _owners(option: str) -> list[str]:
    """The methods that have a setting."""
    from crossprompt.methods import METHODS  # which imports torch

    field = option.removeprefix("--").removeprefix("no-").replace("-", "_")
    return [
        name
        for name, method in METHODS.items()
        if field in (setting.name for setting in method.Config.describe())
    ]
