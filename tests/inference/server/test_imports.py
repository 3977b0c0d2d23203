"""What is served need not be computed by torch."""

import ast
from pathlib import Path

import pytest

from crossprompt.inference import server as serve

FOLDER = Path(serve.__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("*.py") if path.name != "torch_classifier.py")
HEAVY = {
    "torch",
    "crossprompt.classifier.classifier",
    "crossprompt.classifier.loading",
    "crossprompt.classifier.saving",
    "crossprompt.utils.device",
}


@pytest.mark.parametrize("name", FILES)
def test_no_file_but_the_adapter_asks_for_torch(name: str) -> None:
    found = set()
    for node in ast.walk(ast.parse((FOLDER / name).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    assert not {module for module in found if module in HEAVY or module.startswith("torch.")}
