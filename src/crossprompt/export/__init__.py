"""A classifier as one file that runs elsewhere, checked against the classifier it was made of."""

from crossprompt.export.agreement import Agreement, measure_speed
from crossprompt.export.program import trace
from crossprompt.export.write import ENDINGS, Exported, Form, export_classifier, open_exported

__all__ = [
    "ENDINGS",
    "Agreement",
    "Exported",
    "Form",
    "export_classifier",
    "measure_speed",
    "open_exported",
    "trace",
]
