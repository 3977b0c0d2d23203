"""Packages that come with an extra: who lacks one is told which, and how to get it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from crossprompt.errors import RequestError


def require_extra(extra: str, packages: Sequence[str], purpose: str) -> None:
    """Refuse what cannot be done without packages that are not installed; none is imported.

    Args:
        extra: of crossprompt, with which they come.
        packages: as pip calls them.
        purpose: what needs them, the beginning of a sentence.

    Raises:
        RequestError: some are not installed.
    """
    if missing := [package for package in packages if find_folder(package) is None]:
        those = "is" if len(missing) == 1 else "are"
        raise RequestError(
            f"{purpose} needs {', '.join(missing)}, which {those} not installed; "
            f"pip install 'crossprompt[{extra}]'"
        )


def find_folder(package: str) -> Path | None:
    """Where a package is installed, None if it is not.

    Args:
        package: as pip calls it, which is as Python does but for hyphens.
    """
    spec = find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:  # as of any folder of that name, which holds no module
        return None
    return Path(spec.origin).parent
