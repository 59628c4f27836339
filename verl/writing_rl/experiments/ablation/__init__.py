"""The paper's comparison in small, on the quick start's data: what `writing-rl ablation` does."""
