"""``crossprompt push``: upload a saved classifier to the Hugging Face hub."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crossprompt.cli.load import check_finished

EXAMPLE = "crossprompt push runs/photos-dcp user/photos-dcp --private"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("run", type=Path, help="folder of a saved classifier")
    parser.add_argument("repository", help="owner/name on the hub; made if there is none")
    parser.add_argument("--private", action="store_true", help="make a private repository")
    parser.add_argument("--revision", help="branch to write to (default: the main branch)")
    parser.add_argument("--message", help="commit message")


def run(options: argparse.Namespace) -> int:
    from crossprompt.classifier.hub import push_folder
    from crossprompt.classifier.info import inspect_run

    check_finished(options.run)
    inspect_run(options.run)  # refuses a damaged one
    address = push_folder(
        options.run,
        options.repository,
        private=options.private,
        revision=options.revision,
        commit_message=options.message,
    )
    print(f"Pushed to {address}")
    print(f"Use it with: crossprompt predict {options.repository} IMAGE")
    return 0
