#!/usr/bin/env bash
# Sets up the environment, and trains a writer in it: `writing-rl train` in the folder of the project.
#
#   bash scripts/train_writing_rl.sh
#       The quick start: sets up, makes a small data set and a small model, trains it on the CPU, ends with a summary.
#
#   BASE_MODEL=Qwen/Qwen2.5-7B-Instruct JUDGE_MODEL=qwen-plus DASHSCOPE_API_KEY=... EXPERIMENT_NAME=my-writer \
#     bash scripts/train_writing_rl.sh
#       The real thing, on data/train.parquet and data/test.parquet. Run it again to resume. The profile follows from the
#       GPUs and the model; PROFILE=gpu_grpo names one: original, gpu, gpu_grpo, gpu_lora, gpu_small, cpu.
#
# Every argument is a Hydra override (docs/settings.md), but for --smoke, --rehearse, --rehearse-judge-calls N and
# --dry-run: `writing-rl train --help` says more of them, and names all settings of the environment.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"
show_help_if_asked "$@"

# In a function, which bash reads whole: a run of days must survive an edit of this file.
main() {
  local kind python
  cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
  kind=$(profile_kind "${PROFILE:-}") # which exists
  case " $* " in
    *" --smoke "*) kind=$(profile_kind "") ;;
    *) if [ -z "${BASE_MODEL:-}" ]; then kind=cpu; fi ;;
  esac
  case " $* " in
    *" --dry-run "*)
      # Nothing is set up for it.
      python=$(project_python "$kind" 2>/dev/null) || python=python3
      PYTHONPATH=$PWD/verl exec "$python" -m writing_rl.cli train "$@"
      ;;
  esac
  PROFILE=$kind bash scripts/setup_env.sh
  python=$(project_python "$kind")
  exec "$python" -m writing_rl.cli train "$@"
}

main "$@"
exit
