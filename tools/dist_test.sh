#!/usr/bin/env bash
# Evaluates a checkpoint on several GPUs, one process each; with no GPU, in that many processes on the CPU.
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# Several nodes: as in tools/dist_train.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

case ${1:-} in -h | --help) help ;; esac
[ $# -ge 3 ] || fail "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]"
require_file config "$1"
require_file checkpoint "$2"
launch "$3" "$tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"
