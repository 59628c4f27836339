"""One text: what it shows, what it is addressed to, how long it is. Pure functions."""
