# Shared functions of dist_train.sh, dist_test.sh and slurm_train.sh, which source this file.

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
python=$tools/../.venv/bin/python
[ -x "$python" ] || python=python

# A user's mistake: one line, exit code 2.
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# Print the comment at the top of the calling script (its line 1 is the interpreter) and exit.
help() { sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"; exit 0; }

is_positive() { [[ $1 =~ ^[1-9][0-9]{0,8}$ ]]; }

is_count() { [[ $1 =~ ^[0-9]{1,9}$ ]]; }

require_port() { is_positive "$1" && [ "$1" -le 65535 ] || fail "PORT must be a number from 1 to 65535, not '$1'"; }

require_file() { [ -f "$2" ] || fail "$1 $2 does not exist"; }

# Print how many GPUs torch can use. Importing torch takes seconds, so only where there is a driver.
visible_gpus() {
    if [ -e /dev/nvidiactl ] || [ -e /dev/kfd ] || command -v nvidia-smi >/dev/null; then
        "$python" -c 'import torch; print(torch.cuda.device_count())'
    else
        echo 0
    fi
}

# launch COUNT SCRIPT ARGUMENTS...: start COUNT processes on this node, of NNODES nodes. Without PORT a single node
# takes any free port, so that several runs fit on one machine.
launch() {
    local count=$1 nnodes=${NNODES:-1} gpus cores
    shift
    is_positive "$count" || fail "GPUS must be a positive number, not '$count'"
    is_positive "$nnodes" || fail "NNODES must be a positive number, not '$nnodes'"
    local -a rendezvous=(--standalone)
    if [ "$nnodes" -gt 1 ]; then
        [ -n "${MASTER_ADDR:-}" ] || fail "NNODES=$nnodes needs MASTER_ADDR, the address of the node with NODE_RANK=0"
        getent hosts "$MASTER_ADDR" >/dev/null \
            || fail "MASTER_ADDR=$MASTER_ADDR is unknown here: name the node with NODE_RANK=0, or give its IP address"
        [[ ${NODE_RANK:-} =~ ^[0-9]{1,9}$ ]] && [ "$NODE_RANK" -lt "$nnodes" ] \
            || fail "NNODES=$nnodes needs NODE_RANK, from 0 to $((nnodes - 1)), different on each node"
    fi
    if [ "$nnodes" -gt 1 ] || [ -n "${PORT:-}" ]; then
        local node=0 address=127.0.0.1 port=${PORT:-29500}
        [ "$nnodes" -eq 1 ] || { node=$NODE_RANK address=$MASTER_ADDR; }
        require_port "$port"
        if [ "$node" -eq 0 ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            fail "PORT=$port is in use on this node: choose another, the same on every node"
        fi
        rendezvous=(--nnodes="$nnodes" --node_rank="$node" --master_addr="$address" --master_port="$port")
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
    local restarts=${MAX_RESTARTS:-0}
    is_count "$restarts" || fail "MAX_RESTARTS must be a number, not '$restarts'"
    if [ "$restarts" -gt 0 ]; then
        [ "${rendezvous[0]}" = --standalone ] || fail 'MAX_RESTARTS works on one node, and without PORT'
        # torchrun would pass the store of the first start, with the addresses of dead processes, to the next.
        export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    fi
    exec "$python" -m symmim_mm.engine.elastic "${rendezvous[@]}" --nproc_per_node="$count" \
        --max-restarts="$restarts" "$@"
}
