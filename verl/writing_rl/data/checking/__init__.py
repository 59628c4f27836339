"""Whether a training set, a test set and an index file fit together."""
