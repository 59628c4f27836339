"""The data set: its row format (design: README, "Data"), reading and checking it."""
