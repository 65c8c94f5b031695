#!/usr/bin/env bash
# Two CPU processes, to try a recipe out. The flag says GPU, the recipe's `use_cpu: true` decides; `--cpu --num_processes 2`
# and a config of type MULTI_CPU start one process without a word. Options of the example, such as --resume, come fourth.
set -euo pipefail
recipe=${1:?give the recipe: $0 RECIPE ROOT OUTPUT [OPTIONS]}
accelerate launch --multi_gpu --num_machines 1 --num_processes 2 --mixed_precision no --dynamo_backend no \
  examples/sft.py --recipe "$recipe" --root "${2:-data}" --output "${3:-runs/sft}" "${@:4}"
