"""Benchmarks of the package and of comparable ones: ``python -m benchmarks --help``."""
