"""Speed and memory of DCP against the authors' computation, measured on whatever machine runs it.

    python -m benchmarks.step_time     a training step: ours, the dense form, its products alone
    python -m benchmarks.memory        peak memory of a training step, each in its own process
    python -m benchmarks.inference     a frozen classifier against the bare image tower
    python -m benchmarks.data_loading  reading images against the image tower that waits for them
    python -m benchmarks.cocoop        CoCoOp, whose text tower runs for every image
    python -m benchmarks.report        the tables and the picture of docs/performance.md

Every script prints a table, or with ``--json`` one JSON document that the report reads. The weights
are random: they change neither the time nor the memory.
"""
