#!/usr/bin/env bash
# Sets up, checks format, lint and types, then runs all tests.
#
#   bash scripts/test.sh                 # everything, with real trainings: twenty to thirty minutes on two cores
#   bash scripts/test.sh --nightly       # and what shows little more: twenty minutes more
#   bash scripts/test.sh tests/unit      # any arguments go to pytest
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"
show_help_if_asked "$@"
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
# Also on a machine with GPUs, whose environment the tests leave alone.
PROFILE=cpu bash scripts/setup_env.sh
python=$(project_python cpu)
if [ $# -eq 0 ] || [ "$*" = --nightly ]; then
  bash scripts/check.sh
  # Trainings mostly wait, for processes to start and for each other: the other tests run beside them.
  set -- "$@" --numprocesses 2 --dist loadfile --no-loadscope-reorder
fi
exec "$python" -m pytest "$@"
