#!/usr/bin/env bash
# Sets up, checks format, lint and types, then runs all tests.
#
#   bash scripts/test.sh                 # everything, with real trainings: twenty to thirty minutes on two cores
#   bash scripts/test.sh tests/unit      # seconds; any arguments go to pytest
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/help.sh"
show_help_if_asked "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PROFILE=${PROFILE:-cpu} bash scripts/setup_env.sh
if [ $# -eq 0 ]; then
  bash scripts/check.sh
  # Trainings mostly wait, for processes to start and for each other: the other tests run beside them.
  set -- --numprocesses 2 --dist loadfile --no-loadscope-reorder
fi
exec .venv/bin/python -m pytest "$@"
