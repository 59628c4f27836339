"""Reinforcement learning for long-form writing, as an overlay on verl 0.9.1 (paper: arXiv 2506.05760).

The path of a sample: `data` makes the rows, verl rolls out, `verl.workers.reward_manager.parallel` asks
`curriculum` for the current reference and `judging` for a verdict, `trainer` commits the promotions of a
step.
"""

__version__ = "0.1.0"
