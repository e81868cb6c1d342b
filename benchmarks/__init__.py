"""Benchmarks: one script, one question; run each by `python -m benchmarks.NAME`.

`python -m benchmarks` runs all in a quick size and prints one table of ratios.
"""
