"""Benchmark grids: cells of data set, method, shots and seed, each computed once."""
