"""Optional dependencies: a missing one is reported with the extra that installs it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from crossprompt.errors import RequestError


def require_extra(extra: str, packages: Sequence[str], purpose: str) -> None:
    """Raise ``RequestError`` unless packages (names for pip) are installed; none is imported.

    ``purpose`` begins the error, for example "writing Parquet"; ``extra`` installs the packages.
    """
    if missing := [package for package in packages if find_folder(package) is None]:
        raise RequestError(
            f"{purpose} needs {', '.join(missing)}, not installed here; "
            f"pip install 'crossprompt[{extra}]'"
        )


def find_folder(package: str) -> Path | None:
    """Folder of an installed package, by its name for pip; None if it is not installed."""
    spec = find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:  # a folder of that name without a module
        return None
    return Path(spec.origin).parent
