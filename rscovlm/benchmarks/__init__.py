"""Benchmarks: what a model scores, each figure beside a trivial baseline."""
