"""Measuring the judge path: what `scripts/benchmark_reward.py` does."""
