"""Benchmarks: one script, one question; run each by `python -m benchmarks.NAME`."""
