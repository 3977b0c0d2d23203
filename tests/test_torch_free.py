"""Everything in ``inference/``, and every command that needs no torch, imports without it."""

import subprocess
import sys

import pytest

COMMANDS = (
    "classes",
    "data",
    "explain",
    "export",
    "info",
    "predict",
    "push",
    "report",
    "serve",
)
"""Their modules import torch only once a torch classifier is opened, if at all."""
PROGRAM = """
import importlib, pkgutil, sys
sys.modules["torch"] = None  # any import of it fails
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."):
        importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_prediction_and_light_commands_import_without_torch() -> None:
    names = ["crossprompt.inference", "crossprompt.cli.main"]
    names += [f"crossprompt.cli.{name}" for name in COMMANDS]
    program = [sys.executable, "-c", PROGRAM, *names]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
