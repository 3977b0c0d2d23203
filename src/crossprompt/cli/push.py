"""``crossprompt push``: upload a saved classifier to the Hugging Face hub."""

import argparse
from pathlib import Path

from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.load import check_finished

EXAMPLE = "crossprompt push runs/photos-dcp user/photos-dcp --private"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a saved classifier")
    parser.add_argument("repository", help="owner/name on the hub; made if there is none")
    add_flag(parser, "--private", "make a private repository")
    add_option(parser, "--revision", "branch to write to (default: the main branch)")
    add_option(parser, "--message", "commit message")


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
