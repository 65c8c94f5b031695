#!/usr/bin/env bash
# Four nodes of eight GPUs, from the folder that holds examples/: sbatch examples/launch/slurm.sh RECIPE ROOT OUTPUT
# A requeued job goes on from its last whole checkpoint, because of --resume; a preempted one saves first, on SIGTERM.
#SBATCH --job-name=rscovlm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
recipe=${1:?give the recipe: sbatch examples/launch/slurm.sh RECIPE ROOT OUTPUT}
nodes=$(scontrol show hostnames "${SLURM_JOB_NODELIST:?start this with sbatch}")
export OMP_NUM_THREADS=4
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK   # srun does not take it over from sbatch by itself
srun --kill-on-bad-exit=1 torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc_per_node 8 --rdzv_id "$SLURM_JOB_ID" \
  --rdzv_backend c10d --rdzv_endpoint "${nodes%%$'\n'*}:$((20000 + SLURM_JOB_ID % 20000))" \
  examples/sft.py --recipe "$recipe" --root "${2:-data}" --output "${3:-runs/sft}" --resume
