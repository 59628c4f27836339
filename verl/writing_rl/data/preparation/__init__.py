"""From raw prompts with responses to a training set."""
