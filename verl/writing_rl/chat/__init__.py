"""Writing with a trained model and its base, side by side: what `scripts/chat.py` does."""
