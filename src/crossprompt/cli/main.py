"""Finds and runs the command; reports an error in one line with its exit code."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from crossprompt.errors import JobError, RequestError
from crossprompt.utils.process import is_main_process, raise_on_interrupt
from crossprompt.utils.text import nearest, one_line

COMMANDS = {
    "demo": "Train and compare four methods on the embedded model and data, in a few minutes.",
    "fit": "Train a classifier on a few labelled images per class.",
    "evaluate": "Measure a saved classifier on labelled images.",
    "predict": "Classify images with a saved classifier.",
    "classes": "Give a saved classifier other classes, without training.",
    "info": "Show what is inside a saved or an exported classifier.",
    "export": "Write a saved classifier as one file that ONNX Runtime or torch runs alone.",
    "explain": "Show where a classifier looked, and the words nearest to its prompts.",
    "push": "Upload a saved classifier to the Hugging Face hub.",
    "serve": "Classify images over HTTP, with a page to try it on.",
    "data": "List the benchmark data sets, or check that one is complete and in its place.",
    "methods": "List the methods with their trainable parameters and their sources.",
    "bench": "Train and test every combination of data sets, methods, shots and seeds.",
    "report": "Write tables and pictures of the results of crossprompt bench.",
    "reproduce": "Repeat a paper's evaluation: list its runs, and compute them.",
}
"""Name of a command and its module (with ``EXAMPLE``, ``add_arguments``, ``run``) to summary."""
FAILED, WRONG = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, or 1 if the job failed, or 2 if the request was wrong."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parse(arguments)  # imports the command's module
        raise_on_interrupt()
        return int(_module(options.command).run(options) or 0)
    except SystemExit as stop:  # argparse has printed the help or the version
        return stop.code if isinstance(stop.code, int) else WRONG
    except BrokenPipeError:  # the reader has gone; nothing more can be written there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments:
            raise
        return report_error(error)


def report_error(error: BaseException) -> int:
    """Print an error in one line; returns the exit code."""
    in_every_process = type(error) in (RequestError, JobError, KeyboardInterrupt)
    if is_main_process() or not in_every_process:
        print(f"crossprompt: error: {_message(error)}", file=sys.stderr)
    return WRONG if isinstance(error, RequestError) else FAILED


def _message(error: BaseException) -> str:
    text = one_line(error)
    match error:
        case RequestError() | JobError():
            return str(error)
        case KeyboardInterrupt():
            return "stopped"
        case ModuleNotFoundError(name=str(name)):
            return f"the package {name} is not installed; pip install crossprompt installs it"
        case OSError(strerror=str(reason), filename=str(path)):
            return f"{path}: {reason}"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be installed
        return "out of GPU memory; try a smaller --batch-size, --dtype bf16 or --device cpu"
    if "No space left" in text:  # an OSError, or safetensors' own
        return f"no space left to write to ({text})"
    return f"unexpected {type(error).__name__}: {text} (a traceback: --debug)"


class Parser(argparse.ArgumentParser):
    """Raises ``RequestError`` instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version  # slow

        print(f"crossprompt {version('crossprompt')}")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options; ``RequestError`` if an argument is unknown or missing."""
    command = arguments[0] if arguments else "-"
    if not command.startswith("-") and command not in COMMANDS:
        near = nearest(command, COMMANDS)
        hint = f"did you mean {near}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise RequestError(f"there is no command {command!r}; {hint}")
    options, unknown = build_parser(arguments).parse_known_args(arguments)
    if unknown:
        raise RequestError(_explain_unknown(unknown[0], options))
    return options


def build_parser(arguments: Sequence[str]) -> Parser:
    """The parser of all commands; only the module of the chosen command is imported."""
    parser = Parser(
        prog="crossprompt",
        description="Few-shot image classification with a frozen CLIP.",
        epilog="example: crossprompt demo",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    chosen = next((name for name in arguments if name in COMMANDS), None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    form: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary, **form)
        if name == chosen:
            sub.epilog = f"example:\n  {_module(name).EXAMPLE}"
            sub.set_defaults(arguments=arguments)  # the options of fit depend on its --method
            _module(name).add_arguments(sub)
            sub.add_argument("--debug", action="store_true", help="show a traceback of an error")
            sub.set_defaults(offered=re.findall(r"--[\w-]+", sub.format_usage()))
    return parser


def _module(command: str) -> Any:
    return import_module(f"crossprompt.cli.{command}")


def _explain_unknown(argument: str, options: argparse.Namespace) -> str:
    option, see = argument.partition("=")[0], f"see crossprompt {options.command} --help"
    if not option.startswith("-"):
        return f"{argument!r} is one argument too many; {see}"
    if options.command == "fit":
        from crossprompt.methods import METHODS  # imports torch

        name = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        owners = [owner for owner, method in METHODS.items() if name in method.Config().to_json()]
        if owners:
            return f"{option} is a setting of {', '.join(owners)}, not of {options.method}; {see}"
    near = nearest(option, options.offered)
    return f"there is no option {option}; {f'did you mean {near}?' if near else see}"
