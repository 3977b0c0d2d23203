"""A classifier that was fitted from the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossprompt.cli import main

FitCommand = Callable[..., list[str]]


@pytest.fixture(scope="session")
def fit_command(photos: Path, backbone: str) -> FitCommand:
    """The command line of a small job: two epochs of two steps."""

    def arguments(output: Path, *more: str) -> list[str]:
        places = ["fit", str(photos), "--backbone", backbone, "--output", str(output)]
        method = ["--method", "coop", "--length", "2", "--shots", "2"]
        return [*places, *method, "--epochs", "2", "--batch-size", "3", *more]

    return arguments


@pytest.fixture(scope="session")
def run(fit_command: FitCommand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its run folder; not to be changed."""
    output = tmp_path_factory.mktemp("runs") / "photos-coop"
    assert main(fit_command(output)) == 0
    return output
