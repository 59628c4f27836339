#!/usr/bin/env python3
"""Makes the reference index file of an experiment: `writing-rl index create` in the project's environment.

EXPERIMENT_NAME=my-writer DATA_DIR=data python scripts/create_index_file.py
python scripts/create_index_file.py --help
"""

import importlib.util
import os
import subprocess
import sys

COMMAND = ("index", "create")


def main() -> None:
    """Runs the command in this Python where the project is installed in it, else in the project's own."""
    if importlib.util.find_spec("writing_rl") and not os.environ.get("WRITING_RL_PYTHON"):
        from writing_rl.cli import main as run

        run([*COMMAND, *sys.argv[1:]])
        return
    finder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", "environment.sh")
    found = subprocess.run(["bash", finder], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        sys.exit(1)  # it has said why
    python = found.stdout.rstrip("\n")
    look = "import importlib.util as found, sys; sys.exit(found.find_spec('writing_rl') is None)"
    if subprocess.run([python, "-c", look], check=False).returncode != 0:
        sys.exit(f"Error: Writing-RL is not installed in {python}: run bash scripts/setup_env.sh")
    os.execv(python, [python, "-m", "writing_rl.cli", *COMMAND, *sys.argv[1:]])


if __name__ == "__main__":
    main()
