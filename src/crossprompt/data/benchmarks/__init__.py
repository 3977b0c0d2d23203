"""Benchmark data sets: their catalog, readers and checks, and the drawn set ``emoji``."""
