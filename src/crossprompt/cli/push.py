"""``crossprompt push``: put a saved classifier on the Hugging Face hub."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crossprompt.cli.load import check_finished

EXAMPLE = "crossprompt push runs/photos-dcp user/photos-dcp --private"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """What to push, and where to."""
    parser.add_argument("run", type=Path, help="folder of a saved classifier")
    parser.add_argument("repository", help="owner/name on the hub; made if there is none")
    parser.add_argument("--private", action="store_true", help="only you may see what is made")
    parser.add_argument("--revision", help="branch to write to (default: the main one)")
    parser.add_argument("--message", help="what the hub's history says")


def run(options: argparse.Namespace) -> int:
    """Check the classifier, upload it, and say where it is."""
    from crossprompt.classifier.hub import push_folder
    from crossprompt.classifier.info import inspect_run

    check_finished(options.run)
    inspect_run(options.run)  # a damaged one is not shared
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
