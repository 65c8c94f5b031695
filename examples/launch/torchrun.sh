#!/usr/bin/env bash
# Several machines without a scheduler. On each: HEAD=first-machine NODES=4 RANK=0 examples/launch/torchrun.sh RECIPE ROOT OUTPUT
set -euo pipefail
recipe=${1:?give the recipe: $0 RECIPE ROOT OUTPUT}
if [ "${NODES:-1}" -gt 1 ]; then : "${HEAD:?set it to the first machine}" "${RANK:?set it to the number of this machine, from 0}"; fi
torchrun --nnodes "${NODES:-1}" --node_rank "${RANK:-0}" --nproc_per_node "${GPUS:-8}" \
  --master_addr "${HEAD:-127.0.0.1}" --master_port "${PORT:-29500}" \
  examples/sft.py --recipe "$recipe" --root "${2:-data}" --output "${3:-runs/sft}" --resume
