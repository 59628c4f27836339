#!/usr/bin/env bash
# Everything that CI checks before the tests: format, lint, types.
#
#   bash scripts/check.sh          # says what is wrong
#   bash scripts/check.sh --fix    # mends what it can first
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"
show_help_if_asked "$@"
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(project_python cpu)
if [ "${1:-}" = --fix ]; then
  "$python" -m ruff check --fix .
  "$python" -m ruff format .
fi
"$python" -m ruff format --check .
"$python" -m ruff check .
"$python" -m mypy
