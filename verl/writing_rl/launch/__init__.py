"""From a command to a running trainer: the machine, the model, the profile, and the checks before a start."""
