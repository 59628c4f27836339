#!/usr/bin/env bash
# Makes the environment of the project, from nothing but this repository: .venv for a CPU, .venv-gpu for GPUs. Neither
# set-up touches the other's folder. Run again, it takes a second.
#
#   bash scripts/setup_env.sh                        # for what this machine has
#   PROFILE=cpu bash scripts/setup_env.sh            # or gpu, or the name of any profile
#   PYTHON=/path/to/python3.12 bash scripts/setup_env.sh
#   FLASH_ATTN=sdpa PROFILE=gpu bash scripts/setup_env.sh
#   WRITING_RL_PYTHON=/path/to/python bash scripts/setup_env.sh   # checks an environment of your own, installs nothing
#
# FLASH_ATTN chooses the attention kernel of the GPU environment; nothing is compiled unless you ask for it:
#   auto             the prebuilt wheel, else a kernel of the model hub, else PyTorch's own attention (the default)
#   wheel            the prebuilt wheel at FLASH_ATTN_WHEEL
#   kernels          the kernel of the model hub, by the package `kernels`
#   sdpa             PyTorch's own attention
#   build            compiles flash-attn: needs nvcc, and 20 to 30 minutes on 32 cores
#   /path/or/URL.whl a wheel of yours
# The choice is kept until another one is made, so it need not be repeated for a training.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"
show_help_if_asked "$@"
# The folder itself, not a link to it: pip and the environment name it.
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -eq 0 ] || fail "scripts/setup_env.sh takes no arguments, but variables such as PROFILE=gpu: see its --help"

kind=$(profile_kind "${PROFILE:-}")
if [ -n "${WRITING_RL_PYTHON:-}" ]; then
  python=$(project_python "$kind")
  "$python" -c "import sys, packaging.requirements; sys.exit(sys.version_info < (3, 10))" 2>/dev/null ||
    fail "WRITING_RL_PYTHON is '$WRITING_RL_PYTHON', which is older than Python 3.10 or has no package 'packaging':" \
      "install what a run needs there, or unset WRITING_RL_PYTHON and run this again"
  # Straight from this repository, so that it is there to say what is missing, too.
  PYTHONPATH=$PWD/verl${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m writing_rl.launch.versions "$kind"
fi

# Settings that are meant for other environments: a container's constraints, a module system's paths.
unset PIP_CONSTRAINT PIP_PREFIX PIP_TARGET PYTHONHOME PYTHONPATH
export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0

[ "$(uname -sm)" = "Linux x86_64" ] ||
  fail "the locked packages are for Linux on x86_64, this is $(uname -sm): name an environment of your own in WRITING_RL_PYTHON"
folder=$(environment_folder "$kind")
# A link to a folder on a larger disk will do as well.
place=$(cd -P "$folder" 2>/dev/null && pwd || echo "$PWD/$folder")
if [ "$kind" = gpu ]; then
  lock=requirements-gpu.txt versions=3.12 size_gb=11
else
  lock=requirements.txt versions="3.11 3.12" size_gb=4
fi

# --- the attention kernel that is asked for, or else the one that was before ------------------------------------
FLASH_ATTN_VERSION=2.8.3
PREBUILT_WHEEL=https://github.com/verl-project/verl-wheelhouse/releases/download/flash-attention-v$FLASH_ATTN_VERSION/flash_attn-$FLASH_ATTN_VERSION-cp312-cp312-linux_x86_64.whl
KERNELS_VERSION=0.12.3 # the newest that transformers 5.9 accepts
attention_before=
if [ -f "$folder/.attention" ]; then
  attention_before=$(cat "$folder/.attention")
  { read -r way_before && read -r wheel_before; } <"$folder/.attention" || true
fi
FLASH_ATTN=${FLASH_ATTN:-${way_before:-auto}}
case $FLASH_ATTN in
  auto | wheel | kernels | sdpa | build | *.whl) ;;
  *) fail "FLASH_ATTN is '$FLASH_ATTN': choose auto, wheel, kernels, sdpa, build, or name a wheel (a path or URL ending in .whl)" ;;
esac
# `default` rather than its address, so that a newer version of this script brings its own.
wheel=${FLASH_ATTN_WHEEL:-${wheel_before:-default}}
attention=$FLASH_ATTN$'\n'$wheel
if [ "$wheel" = default ]; then wheel=$PREBUILT_WHEEL; fi

# --- is there anything to do? -----------------------------------------------------------------------------------
# pip names the folder in the environment, so one that was copied or moved will not do, nor one of another tool.
made_here() {
  "$folder/bin/python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] not in sys.argv[1].split())" "$versions" 2>/dev/null &&
    [[ $(cat "$folder/pyvenv.cfg" 2>/dev/null)$'\n' == *" -m venv $place"$'\n'* ]]
}
# What the environment is made from; when it changes, the environment is brought up to date.
stamp=$folder/.made-from
wanted="$kind $(cat "$lock" setup.py scripts/lib/vllm-record/pyproject.toml | cksum) $PWD"
if [ "$kind" = gpu ]; then wanted+=" flash-attn $FLASH_ATTN_VERSION kernels $KERNELS_VERSION $attention"; fi
up_to_date() { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && made_here; }
if up_to_date; then exit 0; fi

# --- what cannot work is said before anything is installed ------------------------------------------------------
# Spares a compilation or a download where only other packages have changed.
attention_is_there() {
  [ "$attention" = "$attention_before" ] && compgen -G "$folder/lib/python*/site-packages/flash_attn-$FLASH_ATTN_VERSION*" >/dev/null
}
check_nvcc() {
  local nvcc=${CUDA_HOME:-/usr/local/cuda}/bin/nvcc # where PyTorch looks for it
  if [ -z "${CUDA_HOME:-}" ] && command -v nvcc >/dev/null; then nvcc=nvcc; fi
  [[ $("$nvcc" --version 2>/dev/null) == *"release 13."* ]] ||
    fail "FLASH_ATTN=build needs nvcc of CUDA 13: install the CUDA toolkit and name its folder in CUDA_HOME, or choose another way"
}
if [ "$kind" = gpu ] && ! attention_is_there; then
  case $FLASH_ATTN in
    build) check_nvcc ;;
    *://*.whl) ;;
    *.whl) [ -f "$FLASH_ATTN" ] || fail "FLASH_ATTN names the wheel '$FLASH_ATTN', which is not there (a path counts from $PWD)" ;;
  esac
fi

mkdir -p logs
# One set-up of an environment at a time: the next one finds it ready.
if command -v flock >/dev/null; then
  exec 9>"logs/setup-$kind.lock"
  if ! flock --nonblock 9; then
    echo "Waiting for another set-up of $folder"
    flock 9 || true
    if up_to_date; then exit 0; fi
  fi
fi
if [ -n "$(ls -A "$folder" 2>/dev/null)" ] && ! made_here; then
  fail "$PWD/$folder was made elsewhere, by another tool or by a Python that is not there: remove it and run this again"
fi

log=logs/setup-$kind.log
: >"$log"

# --- Python and pip ---------------------------------------------------------------------------------------------
find_python() {
  local candidate newest=${versions##* }
  for candidate in ${PYTHON:+"$PYTHON"} $(printf 'python%s ' $versions) python3; do
    if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] not in sys.argv[1].split())" "$versions" \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
    if [ "$candidate" = "${PYTHON:-}" ]; then
      fail "PYTHON is '$PYTHON', which is not a Python ${versions// / or } with venv and ensurepip"
    fi
  done
  fail "no Python ${versions// / or } with venv found. Two ways that need no root:" \
    "(1) install uv (https://docs.astral.sh/uv), uv python install $newest," \
    "PYTHON=\$(uv python find $newest) PROFILE=$kind bash scripts/setup_env.sh;" \
    "(2) conda create -y -p ~/python$newest python=$newest, PYTHON=~/python$newest/bin/python PROFILE=$kind bash scripts/setup_env.sh"
}

# failed WHAT: says why, as far as the log tells.
failed() {
  if grep -q "No matching distribution found for torch==.*+cpu" "$log"; then
    fail "your package index does not offer torch $(sed -n 's/^torch==//p' "$lock") for this Python: set" \
      "PIP_EXTRA_INDEX_URL to PyTorch's CPU package index (named on its page 'Start Locally') and run this again"
  fi
  # On a full disk the log may lack its end.
  if grep -qE "No space left on device|Disk quota exceeded" "$log" || [ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -lt 10240 ]; then
    fail "the disk is full: make room for about $size_gb GB in $place (it may be a link to a folder elsewhere), and for" \
      "pip in ${TMPDIR:-/tmp} (TMPDIR) and in its cache (PIP_CACHE_DIR), and run this again"
  fi
  tail -n 5 "$log" >&2
  fail "$1: see $log"
}

# At a terminal, how far pip has got with the lock.
progress() {
  local line got=0
  if [ ! -t 1 ] || [ -z "$packages" ]; then
    cat >/dev/null
    return
  fi
  while IFS= read -r line; do
    case $line in
      Collecting* | Processing* | "Requirement already"*) printf '\r  %d of %d' $((got += 1)) "$packages" ;;
      "Installing collected"*) printf '\r  unpacking %d' "$got" ;;
    esac
  done
  printf '\r%24s\r' ""
}
pip_install() { "$python" -m pip --disable-pip-version-check install "$@" 2>&1 | tee -a "$log" | progress; }
must_install() { pip_install "$@" || failed "pip could not install the packages"; }

# --- the attention kernel ---------------------------------------------------------------------------------------
# Whether the environment can compute attention so; what it says goes to the log.
attention_works() { "$python" -m writing_rl.launch.attention --try "$1" >>"$log" 2>&1; }
remove_attention() { "$python" -m pip --disable-pip-version-check uninstall -y flash-attn kernels >>"$log" 2>&1; }
use_wheel() {
  echo "Trying the prebuilt wheel of flash-attn: $1" >>"$log"
  # --timeout: of a connection and of a silence; the download itself may take as long as it does.
  pip_install --no-deps --retries 0 --timeout 20 "$1" && attention_works flash-attn && return
  remove_attention
  return 1
}
use_kernels() {
  pip_install --no-deps "kernels==$KERNELS_VERSION" && attention_works kernels && return
  remove_attention
  return 1
}
set_up_attention() {
  if ! { attention_is_there && attention_works flash-attn; }; then
    remove_attention
    case $FLASH_ATTN in
      auto) use_wheel "$wheel" || use_kernels || true ;;
      wheel) use_wheel "$wheel" || fail "the wheel of flash-attn at FLASH_ATTN_WHEEL ($wheel) cannot be used: see $log" ;;
      kernels) use_kernels || fail "no attention kernel could be fetched from the model hub: see $log" ;;
      sdpa) ;;
      build)
        check_nvcc
        echo "Compiling flash-attn $FLASH_ATTN_VERSION (log: $log)"
        must_install --no-deps --no-build-isolation --no-binary flash-attn "flash-attn==$FLASH_ATTN_VERSION"
        attention_works flash-attn || fail "flash-attn was compiled, but cannot be loaded: see $log"
        ;;
      *) use_wheel "$FLASH_ATTN" || fail "the wheel $FLASH_ATTN cannot be used: see $log" ;;
    esac
  fi
  "$python" -m writing_rl.launch.attention
}

# --- the set-up -------------------------------------------------------------------------------------------------
python=$folder/bin/python
# Also where it was interrupted before pip was there.
if ! "$python" -m pip --version >/dev/null 2>&1; then
  base=$(find_python)
  echo "Setting up the environment ($kind) in $folder with $("$base" --version)"
  # What an interruption leaves is no environment.
  trap 'find "$place" -mindepth 1 -delete 2>/dev/null || true' EXIT
  "$base" -m venv "$place" >>"$log" 2>&1 || failed "$base could not make $folder"
  trap - EXIT
fi
# From here on it is what it was made from no longer.
rm -f "$stamp"

packages=$(grep -c == "$lock")
echo "Installing $packages packages of $lock (log: $log)"
# The lock is complete, so nothing is left to resolve. Modules are compiled once, below, on all cores.
must_install --no-deps --no-compile -r "$lock"
packages=
if [ "$kind" = cpu ]; then
  must_install --no-deps --no-compile --no-build-isolation ./scripts/lib/vllm-record -e .
else
  must_install --no-deps --no-compile --no-build-isolation -e .
fi
# Fails for files that are no Python of this version, such as torch's tests of newer syntax; those stay as they are.
"$python" -m compileall -q -j 0 "$folder"/lib/python*/site-packages >>"$log" 2>&1 || true
if [ "$kind" = gpu ]; then
  set_up_attention
  echo "$attention" >"$folder/.attention"
fi
echo "$wanted" >"$stamp"
