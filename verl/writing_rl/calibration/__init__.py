"""How far a judge agrees with people: what `scripts/calibrate_judge.py` does."""
