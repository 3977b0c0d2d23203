"""Answers as lines of text, one row per input."""

import csv
import io
import json
from abc import ABC, abstractmethod

from crossprompt.harmless import harmless
from crossprompt.prediction import Prediction


class Rows(ABC):
    """A form of rows.

    Args:
        top_k: how many classes an answer lists.
    """

    def __init__(self, top_k: int) -> None:
        self.top_k = top_k

    @property
    def header(self) -> str:
        """What comes before all rows."""
        return ""

    @abstractmethod
    def row(self, answer: Prediction) -> str:
        """An answer, with the end of its line."""


class TableRows(Rows):
    """For people."""

    def row(self, answer: Prediction) -> str:
        """The image, then its classes with their shares."""
        told = f"error: {answer.error}"
        if answer.error is None:
            told = "  ".join(f"{name} {100 * share:.1f} %" for name, share in answer.top)
        return harmless(f"{answer.path}: {told}") + "\n"


class CsvRows(Rows):
    """For spreadsheets; a probability has six decimals."""

    @property
    def header(self) -> str:
        """Names of the columns."""
        return _csv_line(columns(self.top_k))

    def row(self, answer: Prediction) -> str:
        """A cell for each column."""
        cells = [cell for name, share in answer.top for cell in (name, f"{share:.6f}")]
        return _csv_line([answer.path, *(cells or [""] * (2 * self.top_k)), answer.error or ""])


class JsonRows(Rows):
    """For programs: an object a line."""

    def row(self, answer: Prediction) -> str:
        """All fields of a prediction."""
        line = {
            "path": answer.path,
            "label": answer.label,
            "probability": answer.probability,
            "top": answer.top,
            "error": answer.error,
        }
        return json.dumps(line, ensure_ascii=False) + "\n"


FORMS: dict[str, type[Rows]] = {"table": TableRows, "csv": CsvRows, "jsonl": JsonRows}
"""By the name that a user gives."""


def columns(top_k: int) -> list[str]:
    """Of a table: the first class is the label, the others have their rank."""
    ranks = [
        cell for rank in range(2, top_k + 1) for cell in (f"label_{rank}", f"probability_{rank}")
    ]
    return ["path", "label", "probability", *ranks, "error"]


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
