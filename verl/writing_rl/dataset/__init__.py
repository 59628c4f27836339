"""The row format of a data set: reading and checking it, and prompts as the policy reads them."""
