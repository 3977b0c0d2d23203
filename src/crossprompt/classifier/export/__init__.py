"""A classifier as one file that runs elsewhere, checked against the classifier it was made of."""

from crossprompt.classifier.export.check import Agreement, measure_speed
from crossprompt.classifier.export.program import trace
from crossprompt.classifier.export.write import (
    ENDINGS,
    Exported,
    Form,
    export_classifier,
    open_exported,
)

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
