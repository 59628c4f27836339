"""Writing with a trained model and its base, side by side: what `writing-rl chat` does."""
