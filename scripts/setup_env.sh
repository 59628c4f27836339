#!/usr/bin/env bash
# Makes the environment of the project in .venv, from nothing but this repository. Run again, it takes a second.
#
#   bash scripts/setup_env.sh            # cpu or gpu, by what the machine has
#   PROFILE=cpu bash scripts/setup_env.sh
#   PYTHON=python3.12 bash scripts/setup_env.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/help.sh"
show_help_if_asked "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "Error: $*" >&2; exit 1; }

PROFILE=${PROFILE:-$(command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)}
case $PROFILE in
  cpu) versions="3.11 3.12" ;;
  gpu) versions="3.12 3.11 3.10" ;;
  *) fail "PROFILE is '$PROFILE': set it to cpu or gpu" ;;
esac

find_python() {
  local candidate
  for candidate in ${PYTHON:-$(printf 'python%s ' $versions) python3}; do
    if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] not in '$versions'.split())" \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python ${versions// / or } with venv found: install one, or set PYTHON to its path"
}

# What the environment is made from; when it changes, the environment is brought up to date.
stamp=.venv/.made-from
wanted="$PROFILE $(cat requirements.txt setup.py scripts/vllm-record/pyproject.toml | cksum) $PWD"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

# pip names our folder in the environment, so an environment that was copied or moved is made anew.
if [ -d .venv ] && ! .venv/bin/python -c "import sys; sys.exit(sys.prefix != '$PWD/.venv')" 2>/dev/null; then
  fail "$PWD/.venv is no usable environment: remove it and run this again"
fi
if [ ! -d .venv ]; then
  python=$(find_python)
  echo "Setting up the environment ($PROFILE) in .venv with $("$python" --version)"
  "$python" -m venv .venv
fi

mkdir -p logs
log=logs/setup.log
run_pip() {
  if ! .venv/bin/python -m pip --disable-pip-version-check install "$@" >>"$log" 2>&1; then
    if grep -q "No matching distribution found for torch==" "$log"; then
      fail "your package index does not offer torch $(sed -n 's/^torch==//p' requirements.txt) for this Python: set" \
        "PIP_EXTRA_INDEX_URL to PyTorch's CPU package index (named on its page 'Start Locally') and run this again"
    fi
    tail -n 5 "$log" >&2
    fail "pip could not install the packages: see $log"
  fi
}

: >"$log"
if [ "$PROFILE" = cpu ]; then
  echo "Installing $(grep -c == requirements.txt) packages of requirements.txt (log: $log)"
  # The lock is complete, so nothing is left to resolve. Modules are compiled once, below, on all cores.
  run_pip --no-deps --no-compile -r requirements.txt
  run_pip --no-deps --no-compile --no-build-isolation ./scripts/vllm-record -e .
  # Fails for files that are no Python of this version, such as torch's tests of newer syntax; those stay as they are.
  .venv/bin/python -m compileall -q -j 0 .venv/lib/python*/site-packages >>"$log" 2>&1 || true
else
  echo "Installing verl with vLLM, FSDP and flash-attn for CUDA (log: $log)"
  run_pip -e ".[gpu,test]"
fi
echo "$wanted" >"$stamp"
