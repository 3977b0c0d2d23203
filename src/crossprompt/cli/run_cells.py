"""Runs or lists cells: options, engine and summary, shared by ``bench`` and ``reproduce``."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import joblib
import torch

from crossprompt.bench.engines import Engine, Local, Ray
from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import root_for
from crossprompt.bench.results import LINES, Lines
from crossprompt.bench.run_grid import Summary, run_grid
from crossprompt.bench.task import Outcome
from crossprompt.cli.args import (
    LOCAL,
    RAY,
    add_device_arguments,
    add_engine,
    add_flag,
    add_option,
    check_engine,
    not_negative,
)
from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.errors import JobError, RequestError
from crossprompt.utils.device import DTYPES, choose_device, choose_dtype
from crossprompt.utils.ray import RETRIES, Cluster

SMALL = "tiny"
"""The backbone that is too small to keep several cores busy."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    results = "results folder; what is finished there is not computed again"
    add_option(parser, "--output", results, Path("results"), type=Path)
    add_flag(parser, "--dry-run", "list the cells and which are finished")
    add_flag(parser, "--json", "print a summary as JSON")
    add_device_arguments(parser)
    engine = parser.add_argument_group("engine")
    add_engine(
        engine,
        engine="this machine, or a Ray cluster",
        workers="trainings at a time on this machine (default: one a core for tiny, else 1)",
        threads="CPU threads of each training; another number may change the last bits of results "
        "(default: 1 for tiny, else one a core)",
        gpus="GPUs that each training requests from Ray (default: 0)",
    )
    memory = "memory that each training requests from Ray"
    add_option(engine, "--memory", memory, type=not_negative, metavar="GB")
    retries = f"times a training starts again when its worker is lost (default: {RETRIES})"
    add_option(engine, "--retries", retries, type=int)


def choose_device_and_dtype(options: argparse.Namespace) -> tuple[str, str]:
    """Names of the workers' device and dtype."""
    if options.engine == RAY and options.gpus and options.device in ("auto", "cuda"):
        # this machine need not have what those of the cluster have
        device, best = torch.device("cuda"), "bf16"
    else:
        device, best = choose_device(options.device), "auto"
    dtype = choose_dtype(best if options.dtype == "auto" else options.dtype, device)
    return str(device), next(name for name, value in DTYPES.items() if value == dtype)


def choose_engine(options: argparse.Namespace, small: bool) -> tuple[Engine, int]:
    """The engine, and the threads of each training; ``small`` if one keeps one core busy at most.

    Raises:
        RequestError: an option would be ignored.
    """
    cores = joblib.cpu_count()
    threads = options.threads or (1 if small else cores)
    workers = options.workers or (max(1, cores // threads) if small else 1)
    retries = RETRIES if options.retries is None else options.retries
    if retries < 0:
        raise RequestError(f"--retries is {retries}, expected 0 or more")
    check_engine(options, "ray_address", "gpus", "memory")
    if options.engine == LOCAL:
        if workers == 1 and options.retries is not None:
            raise RequestError(
                "--retries would be ignored: one worker on this machine is this process itself; "
                "leave it out, or give more --workers"
            )
        return Local(workers, retries), threads
    if options.ray_address is not None:
        if options.workers is not None:
            raise RequestError(
                "a running cluster decides how many workers there are; leave out --workers or "
                "--ray-address"
            )
        workers = None
    gpus = options.gpus or 0.0
    cluster = Cluster(options.ray_address, workers, threads, gpus, options.memory, retries)
    return Ray(cluster), threads


def run_cells(cells: Sequence[Cell], options: argparse.Namespace, root: str | None) -> int:
    """Compute cells of one or several grids, or list them, and print the outcome; 1 if one failed.
    ``root`` is the folder of the data sets."""
    engine, threads = choose_engine(options, {cell.backbone for cell in cells} == {SMALL})
    if options.dry_run:
        _list(cells, options.output, options.json)
        return 0
    try:
        with reporting() as terminal:

            def say(outcome: Outcome) -> None:
                terminal.say(f"failed: {_titles(outcome.unfinished)}: {outcome.error}")
                if options.debug:
                    terminal.say(outcome.details)

            summary = run_grid(
                cells,
                options.output,
                engine,
                root=root_for(root),
                device=choose_device_and_dtype(options)[0],
                threads=threads,
                reporter=terminal,
                on_failure=say,
            )
    except KeyboardInterrupt:
        raise JobError(
            f"stopped; {options.output} keeps the finished cells: the same command resumes"
        ) from None
    if options.json:
        print_json({"output": str(options.output), **summary.to_json()})
    else:
        _show(summary, options.output)
    return 1 if summary.failed else 0


def _list(cells: Sequence[Cell], output: Path, as_json: bool) -> None:
    finished = Lines(output).read()
    if as_json:
        listed = [{"cell": cell.to_json(), "finished": cell.key in finished} for cell in cells]
        print_json({"output": str(output), "cells": listed})
        return
    done = sum(cell.key in finished for cell in cells)
    rows = [[cell.title, "finished" if cell.key in finished else "to do"] for cell in cells]
    print_table(f"{len(cells)} cells, {done} finished in {output}", ["cell", "state"], rows)


def _titles(cells: Sequence[Cell]) -> str:
    return f"{cells[0].title}{f' and {len(cells) - 1} more' if cells[1:] else ''}"


def _show(summary: Summary, output: Path) -> None:
    for what, pairs in (("not applicable", summary.not_applicable), ("failed", summary.failed)):
        for reason in dict.fromkeys(reason for _, reason in pairs):
            print(f"{what}: {_titles([cell for cell, why in pairs if why == reason])}: {reason}")
    print(
        f"{len(summary.computed)} cells computed, {summary.finished_before} finished before, "
        f"{len(summary.not_applicable)} not applicable, {len(summary.failed)} failed."
    )
    if summary.failed:
        print("The same command tries again what failed, and nothing else.")
    print(
        f"Written to {output / LINES}. Tables: {shlex.join(['crossprompt', 'report', str(output)])}"
    )
