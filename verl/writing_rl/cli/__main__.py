"""`python -m writing_rl.cli` is the command `writing-rl`."""

from writing_rl.cli import main

main()
