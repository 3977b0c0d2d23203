"""A classifier that was fitted from the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossprompt.cli import main

FitWords = Callable[..., list[str]]


@pytest.fixture(scope="session")
def fit_words(photos: Path, backbone: str) -> FitWords:
    """The command line of a small job: two epochs of two steps."""

    def words(output: Path, *more: str) -> list[str]:
        places = ["fit", str(photos), "--backbone", backbone, "--output", str(output)]
        method = ["--method", "coop", "--length", "2", "--shots", "2"]
        return [*places, *method, "--epochs", "2", "--batch-size", "3", *more]

    return words


@pytest.fixture(scope="session")
def run(fit_words: FitWords, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its run folder; not to be changed."""
    output = tmp_path_factory.mktemp("runs") / "photos-coop"
    assert main(fit_words(output)) == 0
    return output
