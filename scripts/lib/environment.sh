#!/usr/bin/env bash
# Prints the Python of the project:
#   1. WRITING_RL_PYTHON, an environment of your own, where it is set;
#   2. the environment of the profile: .venv-gpu for GPUs, .venv for the CPU;
#   3. the other of the two, where only that one has been made.
#
#   bash scripts/lib/environment.sh              # for this machine, or PROFILE
#
# The other scripts source this file for its functions.
set -euo pipefail
unset CDPATH # with it, `cd` may go elsewhere and prints where

# Prints the first comment of the script that runs and ends, where it is asked for help.
show_help_if_asked() {
  case " $* " in *" -h "* | *" --help "*)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
  esac
}

fail() { echo "Error: $*" >&2; exit 1; }

# gpu or cpu: what the profile of this name runs on; without a name, what this machine has.
profile_kind() {
  local folder=verl/writing_rl/config/profile names
  case ${1:-} in
    # Read to its end: grep -q would end nvidia-smi early, which counts as a failure of it.
    "") if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep '^GPU ' >/dev/null; then echo gpu; else echo cpu; fi ;;
    cpu | quickstart_cpu) echo cpu ;;
    *)
      if [ ! -f "$folder/$1.yaml" ]; then
        names=$(basename -s .yaml "$folder"/*.yaml | paste -sd ,)
        fail "PROFILE is '$1': choose one of ${names//,/, }"
      fi
      echo gpu
      ;;
  esac
}

# The folder of the project's own environment for gpu or cpu.
environment_folder() { [ "$1" = gpu ] && echo .venv-gpu || echo .venv; }

# The Python for gpu or cpu, as a full path. Called in the repository's root.
project_python() {
  local candidate kind=$1
  if [ -n "${WRITING_RL_PYTHON:-}" ]; then
    "$WRITING_RL_PYTHON" -c "import sys" 2>/dev/null ||
      fail "WRITING_RL_PYTHON is '$WRITING_RL_PYTHON', which cannot be run: set it to the full path of your environment's Python"
    candidate=$(type -P "$WRITING_RL_PYTHON")
    [[ $candidate == /* ]] || candidate=$PWD/$candidate
    echo "$candidate"
    return
  fi
  for candidate in "$(environment_folder "$kind")" .venv-gpu .venv; do
    if [ -x "$candidate/bin/python" ]; then
      echo "$PWD/$candidate/bin/python"
      return
    fi
  done
  fail "the project has no environment yet: run bash scripts/setup_env.sh, or set WRITING_RL_PYTHON to your own"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  show_help_if_asked "$@"
  cd -P "$(dirname "$0")/../.."
  kind=$(profile_kind "${PROFILE:-}")
  project_python "$kind"
fi
