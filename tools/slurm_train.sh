#!/usr/bin/env bash
# Trains through Slurm, one task a GPU.
#
#   tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]
#
# In the environment: GPUS (8, all together), GPUS_PER_NODE (at most 8), CPUS_PER_TASK (8), PORT (any), GRES
# (gpu:GPUS_PER_NODE; another name where the cluster has one, or none for that many tasks on the CPU), and SRUN_ARGS,
# further options of srun in one string.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

case ${1:-} in -h | --help) help ;; esac
[ $# -ge 4 ] || fail "usage: $0 PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]"
partition=$1 job=$2 config=$3 work_dir=$4
gpus=${GPUS:-8}
is_positive "$gpus" || fail "GPUS must be a positive number, not '$gpus'"
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
is_positive "$gpus_per_node" || fail "GPUS_PER_NODE must be a positive number, not '$gpus_per_node'"
[ $((gpus % gpus_per_node)) -eq 0 ] || fail "GPUS=$gpus is not a multiple of GPUS_PER_NODE=$gpus_per_node"
cpus=${CPUS_PER_TASK:-8}
is_positive "$cpus" || fail "CPUS_PER_TASK must be a positive number, not '$cpus'"
[ -z "${PORT:-}" ] || require_port "$PORT"
gres=${GRES:-gpu:$gpus_per_node}
require_file config "$config"
command -v srun >/dev/null || fail 'srun not found: call this where Slurm is installed'

# Jobs that share a node must not share the port; from 32768 on Linux gives ports to whoever asks for any.
export MASTER_PORT=${PORT:-$((20000 + RANDOM % 12768))}
[ "$gres" = none ] && threads=$cpus || threads=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
read -ra more <<<"${SRUN_ARGS:-}"
exec srun --partition="$partition" --job-name="$job" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node" \
    --gres="$gres" --cpus-per-task="$cpus" --kill-on-bad-exit=1 "${more[@]}" \
    "$python" -u "$tools/train.py" "$config" --work-dir "$work_dir" --launcher slurm "${@:5}"
