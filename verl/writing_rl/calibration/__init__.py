"""How far a judge agrees with people: what `writing-rl judge calibrate` does."""
