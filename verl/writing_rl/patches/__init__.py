"""Run-time patches of verl for all machines; each checks first that it patches what it was made for."""
