#!/usr/bin/env bash
# Measures the quick start from a fresh clone to its summary, and a second start, beside what it should reach.
#
#   bash scripts/lib/benchmark_quickstart.sh [FOLDER]     # clones into FOLDER (default: a temporary one, removed at the end)
#
# pip's cache is empty for it, as on a fresh machine. Leave the machine alone while it runs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
show_help_if_asked "$@"
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
folder=${1:-}
temporary=
sampler=
finish() {
  if [ -n "$sampler" ]; then kill "$sampler"; fi
  if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
}
trap finish EXIT
if [ -z "$folder" ]; then
  folder=$(mktemp -d)
  temporary=$folder
fi
git clone -q "$repository" "$folder/clone"
cd "$folder/clone"
export PIP_CACHE_DIR=$folder/pip-cache

used_kib() { awk '/^MemTotal|^MemAvailable/ {v[$1]=$2} END {print v["MemTotal:"] - v["MemAvailable:"]}' /proc/meminfo; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.0f", b - a}'; }

base=$(used_kib)
peak_file=$folder/peak
echo "$base" >"$peak_file"
(while sleep 1; do
  used=$(used_kib)
  if [ "$used" -gt "$(cat "$peak_file")" ]; then echo "$used" >"$peak_file"; fi
done) &
sampler=$!

# Seconds from a start of the training script to the end of its first training step, with the validation before it.
first_step() {
  local begin
  begin=$(now)
  bash scripts/train_writing_rl.sh trainer.total_training_steps=1 2>&1 |
    while IFS= read -r line; do
      case $line in "step 1/"*) since "$begin" >"$folder/first" ;; esac
    done
  cat "$folder/first"
}

begin=$(now)
PROFILE=cpu bash scripts/setup_env.sh
setup=$(since "$begin")
bash scripts/train_writing_rl.sh
total=$(since "$begin")
second=$(first_step)

steps=$(.venv/bin/python - <<'PYTHON'
import statistics
from pathlib import Path

from writing_rl.runlog.summary import read_metrics

logs = sorted(Path("logs").glob("quickstart-*"))[0]
steps = [step["timing_s/step"] for step in read_metrics(logs) if "timing_s/step" in step]
print(len(steps), f"{statistics.median(steps):.1f}")
PYTHON
)
printf '\n%-48s %10s %12s\n' "" measured "at most"
printf '%-48s %10s %12s\n' "set-up, s" "$setup" 240
printf '%-48s %10s %12s\n' "clone to summary, s" "$total" 600
printf '%-48s %10s %12s\n' "second start to the first training step, s" "$second" 60
printf '%-48s %10s %12s\n' "training steps (at least 30)" "${steps% *}" ""
printf '%-48s %10s %12s\n' "median step, s" "${steps#* }" ""
printf '%-48s %10s %12s\n' "idle polling in a step, s (poll interval)" \
  "$(sed -n 's/^POLL_INTERVAL_S = //p' verl/writing_rl/trainer/replay.py)" 0.3
printf '%-48s %10s %12s\n' "peak memory, GiB" "$(awk -v p="$(cat "$peak_file")" -v b="$base" 'BEGIN {printf "%.1f", (p - b) / 1048576}')" 12
printf '%-48s %10s %12s\n' "environment, GiB" "$(du -sk .venv | awk '{printf "%.1f", $1 / 1048576}')" 5
