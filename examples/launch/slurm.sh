#!/usr/bin/env bash
# Four nodes of eight GPUs: sbatch examples/launch/slurm.sh RECIPE ROOT OUTPUT
# A requeued job goes on from its last whole checkpoint, because of --resume.
#SBATCH --job-name=rscovlm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export HEAD PORT=$((20000 + SLURM_JOB_ID % 20000)) OMP_NUM_THREADS=4
srun torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc_per_node 8 --rdzv_id "$SLURM_JOB_ID" \
  --rdzv_backend c10d --rdzv_endpoint "$HEAD:$PORT" \
  examples/sft.py --recipe "$1" --root "${2:-data}" --output "${3:-runs/sft}" --resume
