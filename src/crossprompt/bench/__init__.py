"""Benchmark grids: runs of data set, method, shots and seed, each computed once."""
