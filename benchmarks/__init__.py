"""Downdraft's own measurements: `make bench`, or `python -m benchmarks --help`."""
