#!/usr/bin/env bash
# Trains a writer with Writing-RL: verl's PPO or GRPO, vLLM rollouts, a pairwise judge, a curriculum of references.
#
#   bash scripts/train_writing_rl.sh
#       The quick start: sets up, makes a small data set and a small model, trains it on the CPU, ends with a summary.
#
#   BASE_MODEL=Qwen/Qwen2.5-7B-Instruct JUDGE_MODEL=qwen-plus DASHSCOPE_API_KEY=... EXPERIMENT_NAME=my-writer \
#     bash scripts/train_writing_rl.sh
#       The real thing, on data/train.parquet and data/test.parquet. Run it again to resume. The profile follows from the
#       GPUs and the model; PROFILE=gpu_grpo names one: original, gpu, gpu_grpo, gpu_lora, gpu_small, cpu.
#
# Every argument is a Hydra override (verl/writing_rl/config/writing_rl.yaml), but for
#   --smoke                   try the profile with a tiny model: two steps, checkpoint, resume, export, in five minutes;
#                             without a GPU its shape on the CPU
#   --rehearse                three steps of this very run in a folder of its own: memory, times, and what all of it takes
#   --rehearse-judge-calls N  real questions to the judge for the rehearsal's forecast (1)
#   --dry-run                 print the command that would train, and stop
#   --help                    print this
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/help.sh"
show_help_if_asked "$@"

# --- settings ---------------------------------------------------------------------------------------------------
PROFILE=${PROFILE:-}                         # a file of config/profile; empty: by GPUs, memory and model
BASE_MODEL=${BASE_MODEL:-}                   # checkpoint folder or hub name; empty: the quick start's
DATA_DIR=${DATA_DIR:-}                       # folder of train.parquet and test.parquet; empty: data, or data/quickstart
EXPERIMENT_NAME=${EXPERIMENT_NAME:-}         # names logs, checkpoints and index file; empty: writing-rl, or quickstart-<time>
JUDGE_MODEL=${JUDGE_MODEL:-}                 # model of the judge, or `offline`; needed with a model of your own
REWARD_STRATEGY=${REWARD_STRATEGY:-position-disadvantage} # or position-advantage, position-both
API_PARALLEL=${API_PARALLEL:-}               # judge requests in flight over the whole run; empty: the profile's, 64
WANDB_PROJECT=${WANDB_PROJECT:-writing-rl}   # wandb logs only where WANDB_API_KEY is set
QUICKSTART_SEED=${QUICKSTART_SEED:-0}        # of the quick start's texts, model and rollouts
VERBOSE=${VERBOSE:-}                         # 1: show everything, not only the lines that matter
# Read where they are needed: OPENAI_BASE_URL, PPO_MAX_TOKEN_LEN_PER_GPU; and, never passed on, OPENAI_API_KEY,
# DASHSCOPE_API_KEY and WANDB_API_KEY.
# ----------------------------------------------------------------------------------------------------------------

# What an address may hold that must not be shown; a training refuses such an address.
without_secrets() {
  sed -E 's#(://)[^[:space:]]*@#\1(hidden)@#g; s#([?&][^=&[:space:]]*(key|token|sig|secret|passw)[^=&[:space:]]*=)[^&\\[:space:]]*#\1(hidden)#gI'
}

# In a function, which bash reads whole: a run of days must survive an edit of this file.
main() {
  cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
  source scripts/project_python.sh

  local dry_run= smoke= rehearse= judge_calls=() overrides=()
  while [ $# -gt 0 ]; do
    case $1 in
      --dry-run) dry_run=1 ;;
      --smoke) smoke=1 ;;
      --rehearse) rehearse=1 ;;
      --rehearse-judge-calls)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "--rehearse-judge-calls is '${2:-}': give a number of questions"
        rehearse=1 judge_calls=(--judge-calls "$2")
        shift
        ;;
      -*) fail "$1 is not an option: see bash scripts/train_writing_rl.sh --help" ;;
      *) overrides+=("$1") ;;
    esac
    shift
  done

  if [ -n "$smoke" ]; then
    kind=$(profile_kind "")
    profile_kind "$PROFILE" >/dev/null # which exists
    PROFILE=$kind bash scripts/setup_env.sh
    python=$(project_python "$kind")
    exec "$python" -m writing_rl.launch.smoke ${PROFILE:+--profile "$PROFILE"} "${overrides[@]+"${overrides[@]}"}"
  fi

  quickstart=
  if [ -z "$BASE_MODEL" ]; then
    case $PROFILE in
      "" | cpu) ;;
      *) fail "PROFILE is '$PROFILE', and BASE_MODEL names no model to train: set it (--smoke needs none)" ;;
    esac
    quickstart=1
    PROFILE=cpu # the quick start's model is made for a CPU
    QUICKSTART_DIR=data/quickstart
    if [ "$QUICKSTART_SEED" != 0 ]; then QUICKSTART_DIR+=-$QUICKSTART_SEED; fi
    BASE_MODEL=$QUICKSTART_DIR/base_model
    DATA_DIR=${DATA_DIR:-$QUICKSTART_DIR}
    JUDGE_MODEL=${JUDGE_MODEL:-offline}
    EXPERIMENT_NAME=${EXPERIMENT_NAME:-quickstart-$(date -u +%Y%m%d-%H%M%S)}
  fi
  kind=$(profile_kind "$PROFILE")
  if [ -z "$PROFILE" ] && [ "$kind" = cpu ]; then PROFILE=cpu; fi
  DATA_DIR=${DATA_DIR:-data}
  EXPERIMENT_NAME=${EXPERIMENT_NAME:-writing-rl}
  # The rest is said by writing_rl.experiment; nothing is set up, and no folder made, for a name like these.
  case $EXPERIMENT_NAME in
    */* | *\\* | *[[:cntrl:]]* | [.~-]*)
      fail "EXPERIMENT_NAME is ${EXPERIMENT_NAME@Q}: it names files, so leave out slashes, control characters and a leading dot, dash or tilde" ;;
  esac
  SETTINGS=(BASE_MODEL DATA_DIR EXPERIMENT_NAME JUDGE_MODEL REWARD_STRATEGY WANDB_PROJECT)
  if [ -n "$API_PARALLEL" ]; then SETTINGS+=(API_PARALLEL); else unset API_PARALLEL; fi
  if [ -n "$quickstart" ]; then SETTINGS+=(QUICKSTART_SEED); fi
  export "${SETTINGS[@]}"

  command=(-m writing_rl.main ${PROFILE:+"profile=${quickstart:+quickstart_}$PROFILE"} "${overrides[@]+"${overrides[@]}"}")
  if [ -n "$dry_run" ]; then
    for name in "${SETTINGS[@]}"; do
      printf '%s=%q ' "$name" "${!name}"
    done
    printf '%q ' "${WRITING_RL_PYTHON:-$(environment_folder "$kind")/bin/python}" "${command[@]}" | without_secrets
    echo
    exit 0
  fi

  PROFILE=${PROFILE:-$kind} bash scripts/setup_env.sh
  python=$(project_python "$kind")
  if [ -n "$quickstart" ]; then
    "$python" scripts/make_quickstart.py --out "$QUICKSTART_DIR" --seed "$QUICKSTART_SEED"
  fi
  if [ -n "$rehearse" ]; then
    exec "$python" -m writing_rl.launch.rehearsal "${judge_calls[@]+"${judge_calls[@]}"}" "${command[@]:2}"
  fi
  "$python" scripts/create_index_file.py

  logs=logs/$EXPERIMENT_NAME
  log=$logs/train-$(date -u +%Y%m%d-%H%M%S).log
  mkdir -p "$logs"
  echo "Training $BASE_MODEL as $EXPERIMENT_NAME on the ${PROFILE:-$kind} (log: $log)"

  # Texts of data, models and providers come through without what a terminal would obey, but for colours: not as
  # control characters of ASCII (with ESC, where it begins no colour), and not as those of Unicode (C1).
  plain() {
    LC_ALL=C sed -u -E -e 's/\x01//g; s/\x1b\[([0-9;]*m)/\x01\1/g; s/[\x00\x02-\x08\x0b\x0c\x0e-\x1f\x7f]//g' \
      -e 's/\xc2[\x80-\x9f]//g; s/\x01/\x1b[/g'
  }
  # Everything goes to the log; the terminal shows the lines of ours, without Ray's prefix, and errors.
  show() {
    if [ -n "$VERBOSE" ]; then cat; else
      grep --line-buffered -E '\[writing-rl\]|^Error: ' | sed -u -E 's/^.*\[writing-rl\] //'
    fi
  }
  set +e
  "$python" "${command[@]}" 2>&1 | plain | tee "$log" | show
  status=${PIPESTATUS[0]}
  set -e
  if [ "$status" -ne 0 ]; then
    echo "The training ended with an error (exit code $status); everything it said is in $log" >&2
    exit "$status"
  fi
  echo
  "$python" -m writing_rl.summary --log_dir "$logs" --judge "$JUDGE_MODEL"
  echo "Logs: $logs   Checkpoints: checkpoints/$EXPERIMENT_NAME   Index file: running_file/index_$EXPERIMENT_NAME.json"
}

main "$@"
exit
