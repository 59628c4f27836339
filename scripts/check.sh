#!/usr/bin/env bash
# Everything that CI checks before the tests: format, lint, types.
#
#   bash scripts/check.sh          # says what is wrong
#   bash scripts/check.sh --fix    # mends what it can first
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/help.sh"
show_help_if_asked "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=.venv/bin
if [ "${1:-}" = --fix ]; then
  $bin/ruff check --fix .
  $bin/ruff format .
fi
$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
