"""Margin-aware data selection: which samples of a training set to train on."""
