"""Tables and pictures of the lines that ``crossprompt bench`` wrote; needs the extra ``report``."""

from crossprompt.report.content import Report, build_report
from crossprompt.report.pictures import plot_inference
from crossprompt.report.reading import Results, read_results
from crossprompt.report.write import FORMATS, to_json, write_report

__all__ = [
    "FORMATS",
    "Report",
    "Results",
    "build_report",
    "plot_inference",
    "read_results",
    "to_json",
    "write_report",
]
