"""The quick start: a small writing task and a model small enough to learn it on a laptop."""
