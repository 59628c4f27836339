"""Experiments on the system itself: ablations and benchmarks."""
