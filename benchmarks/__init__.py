"""Speed and memory of DCP next to the authors' computation, measured on this machine.

    python -m benchmarks.step_time     a training step: ours, the dense form, its products alone
    python -m benchmarks.memory        peak memory of a training step, each in a separate process
    python -m benchmarks.saving        time and memory of a step by level of recomputation
    python -m benchmarks.inference     a frozen classifier next to the image tower alone
    python -m benchmarks.data_loading  reading images next to the image tower that uses them
    python -m benchmarks.compiled      a training step with torch.compile
    python -m benchmarks.cocoop        CoCoOp, whose text tower runs for every image
    python -m benchmarks.serving       the HTTP server next to the same prediction without it
    python -m benchmarks.bulk          crossprompt predict on many small images
    python -m benchmarks.report        writes the tables and the plot of docs/performance.md
    python -m benchmarks.comparison    writes the tables and the plots of docs/comparison.md

Every script but the last two prints a table, or with ``--json`` one JSON document for the report.
The weights are random: they change neither time nor memory.
"""
