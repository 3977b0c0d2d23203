"""Where a benchmark's files are, and reading the text files in it."""

from dataclasses import dataclass
from pathlib import Path

from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Place:
    """Where the files of one data set are."""

    root: Path
    """The folder that holds every data set."""
    folder: Path
    """The data set's own folder, with its lists and annotations."""
    images: Path
    """The folder that the paths of images begin in."""

    def read(self, name: str) -> str:
        """A text file in the data set's folder.

        Raises:
            RequestError: it is missing or no UTF-8.
        """
        return read_text(self.folder / name)

    def lines(self, name: str) -> list[str]:
        """The lines of a text file in the data set's folder, without empty ones.

        Raises:
            RequestError: it is missing, empty or no UTF-8.
        """
        lines = [line.strip() for line in self.read(name).splitlines() if line.strip()]
        if not lines:
            raise RequestError(f"{self.folder / name} is empty; get it again")
        return lines


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        RequestError: it is missing or no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise RequestError(f"there is no file {path}") from error
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no UTF-8 text; get it again") from error
