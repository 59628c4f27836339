"""From two texts to an outcome: `prompts` builds what a judge reads, `verdict` reads what it answers."""
