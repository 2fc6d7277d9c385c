"""Verifies and measures on a GPU: ``python -m benchmarks.gpu --out DIR``."""
