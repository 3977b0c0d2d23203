"""How a benchmark's folder should look, as a small drawing."""

from typing import Any

from crossprompt.data.benchmark import Benchmark

Branches = dict[str, Any]
"""What is in a folder, by name; a file has nothing in it."""


def draw_tree(benchmark: Benchmark) -> str:
    """The folder of a benchmark with one image and every file that is read, a line each."""
    folder, images = benchmark.places[0]
    remarks = {f"{images}/{benchmark.example}".strip("/"): "and so on"}
    if benchmark.split_file:
        remarks[benchmark.split_file] = "from CoOp"
    need = "instead of CoOp's file" if benchmark.split_file else ""
    need = "if you have the official splits" if benchmark.domains else need
    remarks |= {file: need for file in benchmark.files}
    branches: Branches = {}
    for path in remarks:
        within = branches
        for part in path.split("/"):
            within = within.setdefault(part, {})
    return "\n".join([f"{folder}/", *_lines(branches, "", "", remarks)])


def _lines(branches: Branches, indent: str, path: str, remarks: dict[str, str]) -> list[str]:
    lines = []
    for name, within in branches.items():
        last = name == list(branches)[-1]
        here = f"{path}/{name}".strip("/")
        text = f"{indent}{'└── ' if last else '├── '}{name}{'/' if within else ''}"
        lines.append(f"{text}  ({remarks[here]})" if remarks.get(here) else text)
        lines += _lines(within, indent + ("    " if last else "│   "), here, remarks)
    return lines
