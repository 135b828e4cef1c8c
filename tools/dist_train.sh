#!/usr/bin/env bash
# Trains on several GPUs, one process each; with no GPU, in that many processes on the CPU.
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several nodes: call it on each, with NNODES, NODE_RANK (0, 1, ...), MASTER_ADDR (of node 0) and PORT (29500) in
# the environment; GPUS is then the number on one node. OMP_NUM_THREADS is kept where it is set. MAX_RESTARTS (0, one
# node): how often all processes start again after one has died; they resume from the newest checkpoint. Exit code 75:
# after SIGTERM or SIGUSR1 the run was saved, and the same command with --resume continues it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

case ${1:-} in -h | --help) help ;; esac
[ $# -ge 2 ] || fail "usage: $0 CONFIG GPUS [options of tools/train.py]"
require_file config "$1"
launch "$2" "$tools/train.py" "$1" --launcher pytorch "${@:3}"
