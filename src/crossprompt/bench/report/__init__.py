"""Report of the runs that ``crossprompt bench`` finished; needs the extra ``report``."""

from crossprompt.bench.report.build import Report, build_report
from crossprompt.bench.report.inference import plot_inference
from crossprompt.bench.report.load import Results, read_results
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
