# Sourced by dist_train.sh, dist_test.sh and slurm_train.sh: what they share.

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
python=$tools/../.venv/bin/python
[ -x "$python" ] || python=python

# A user's mistake: one line, exit code 2.
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# Prints the comment at the top of the calling script (its line 1 is the interpreter) and ends.
help() { sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"; exit 0; }

is_positive() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

require_file() { [ -f "$2" ] || fail "$1 $2 does not exist"; }

# How many GPUs torch can use. Importing it takes seconds, so only where there is a driver.
visible_gpus() {
    if [ -e /dev/nvidiactl ] || [ -e /dev/kfd ] || command -v nvidia-smi >/dev/null; then
        "$python" -c 'import torch; print(torch.cuda.device_count())'
    else
        echo 0
    fi
}

# launch COUNT SCRIPT ARGUMENTS...: COUNT processes on this node, of NNODES nodes. Without PORT a single node takes
# any free port, so that several runs fit on one machine.
launch() {
    local count=$1 nnodes=${NNODES:-1} gpus cores
    shift
    is_positive "$count" || fail "GPUS must be a positive number, not '$count'"
    is_positive "$nnodes" || fail "NNODES must be a positive number, not '$nnodes'"
    local -a rendezvous=(--standalone)
    if [ "$nnodes" -gt 1 ]; then
        [ -n "${MASTER_ADDR:-}" ] || fail "NNODES=$nnodes needs MASTER_ADDR, the address of the node with NODE_RANK=0"
        [[ ${NODE_RANK:-} =~ ^[0-9]+$ ]] && [ "$NODE_RANK" -lt "$nnodes" ] \
            || fail "NNODES=$nnodes needs NODE_RANK, from 0 to $((nnodes - 1)), different on each node"
    fi
    if [ "$nnodes" -gt 1 ] || [ -n "${PORT:-}" ]; then
        is_positive "${PORT:-29500}" || fail "PORT must be a positive number, not '$PORT'"
        rendezvous=(--nnodes="$nnodes" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
            --master_port="${PORT:-29500}")
    fi

    gpus=$(visible_gpus)
    if [ "$gpus" -eq 0 ]; then
        echo "no GPU: $count processes on the CPU"
        cores=$(nproc)
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > count ? cores / count : 1))}
    else
        [ "$count" -le "$gpus" ] || fail "$count GPUs asked for, $gpus present"
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    fi
    exec "$python" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node="$count" "$@"
}
