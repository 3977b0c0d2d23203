"""Lists the files of the package that a real run passes through.

python tools/trace_files.py [--output FILE]

Runs ``crossprompt fit`` on a small folder of pictures and ``crossprompt predict`` with its result,
and lists every file in which a function was called, in the order of the first call. Imports, and
calls during them, do not count.
"""

import argparse
import inspect
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import crossprompt
from crossprompt.cli import main as run

ROOT = Path(crossprompt.__file__).parent


def trace(command: Sequence[str]) -> list[str]:
    """Run a command and return its files, relative to the package.

    Raises:
        RuntimeError: the command failed.
    """
    found: dict[str, None] = {}

    def record(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_filename in found or not code.co_flags & inspect.CO_OPTIMIZED:
            return  # neither a class body nor a module is a call
        if code.co_filename.startswith(str(ROOT)) and not _importing(frame):
            found[code.co_filename] = None

    threading.setprofile(record)
    sys.setprofile(record)
    try:
        status = run(list(command))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if status:
        raise RuntimeError(f"crossprompt {' '.join(command)} ended with exit code {status}")
    return [Path(name).relative_to(ROOT).as_posix() for name in found]


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(str(ROOT)):
            return True
        frame = frame.f_back
    return False


def trace_fit_and_predict(folder: Path) -> dict[str, list[str]]:
    """Trace ``fit`` on a folder of pictures made in ``folder``, and ``predict``."""
    from PIL import Image

    for number, label in enumerate(("cat", "dog")):
        (folder / "photos" / label).mkdir(parents=True)
        for image in range(10):
            color = (100 * number + 5 * image, 20 * image, 7)
            Image.new("RGB", (64, 64), color).save(folder / "photos" / label / f"{image}.png")
    photos, output = folder / "photos", folder / "run"
    fit = ["fit", str(photos), "--output", str(output), "--shots", "4", "--epochs", "2"]
    predict = ["predict", str(output), str(photos / "cat")]
    return {"fit": trace([*fit, "--method", "dcp"]), "predict": trace(predict)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the files of both commands, or write them to ``--output``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write the list here instead of printing it")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        traced = trace_fit_and_predict(Path(folder))
    text = "\n".join(
        f"crossprompt {command}: {len(files)} files\n" + "\n".join(f"  {name}" for name in files)
        for command, files in traced.items()
    )
    if options.output:
        options.output.write_text(text + "\n", "utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
