"""Dynamic Reference Scheduling: which reference a sample meets, and when it moves on to a harder one."""
