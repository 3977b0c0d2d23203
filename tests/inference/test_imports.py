"""Everything in ``inference`` imports without torch."""

import subprocess
import sys

import pytest

IMPORT_ALL = """
import sys
from importlib import import_module
from pkgutil import walk_packages
from crossprompt import inference
for module in walk_packages(inference.__path__, "crossprompt.inference."):
    import_module(module.name)
    assert "torch" not in sys.modules, module.name
"""


@pytest.mark.slow
def test_no_module_imports_torch() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True)
