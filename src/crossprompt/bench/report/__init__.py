"""Tables and pictures of the lines that ``crossprompt bench`` wrote; needs the extra ``report``."""

from crossprompt.bench.report.content import Report, build_report
from crossprompt.bench.report.pictures import plot_inference
from crossprompt.bench.report.reading import Results, read_results
from crossprompt.bench.report.write import FORMATS, to_json, write_report

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
