"""Measures the verifier, each time beside something else in the same run. ``docs/performance.md`` says how to read it.

``python -m benchmarks.NAME`` prints a table; ``--json FILE`` and ``--plot FILE.svg`` keep the figures.
"""
