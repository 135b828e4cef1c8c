#!/usr/bin/env bash
# `benchmark.py gpu` on a GPU host without network, whose Python has torch but not all of our libraries.
#
#   benchmarks/gpu_host.sh FOLDER RESULT.json [options of `benchmark.py gpu`]
#
# FOLDER holds what was carried there: *.whl (mmcv without operators; the others of requirements/runtime.txt that the
# host lacks), for the study cifar10.tar.xz with train/<class>/ and test/<class>/, and for the loader jpegs.tar.
set -euo pipefail
carried=$(cd "$1" && pwd) result=$(realpath -m "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$place/site" "$carried"/*.whl
export PYTHONPATH=$place/site${PYTHONPATH:+:$PYTHONPATH}
# What every part needs and the host lacks ends this now; and bytecode is written once for all processes.
python3 -c 'from symmim_mm.utils.warm_start import import_libraries; import_libraries()'
options=()
if [ -f "$carried/cifar10.tar.xz" ]; then
    mkdir "$place/data"
    tar -xf "$carried/cifar10.tar.xz" -C "$place/data"
    root=$(dirname "$(find "$place/data" -maxdepth 3 -type d -name train | head -n 1)")
    options+=(--cifar10 "$root")
fi
if [ -f "$carried/jpegs.tar" ]; then
    for copy in {1..5}; do # files enough for every worker: the system keeps all of them in memory anyway
        mkdir -p "$place/jpegs/$copy"
        tar -xf "$carried/jpegs.tar" -C "$place/jpegs/$copy"
    done
    options+=(--data "$place/jpegs")
fi
# Its default limit, less what this took: the host may be lent for ten minutes.
minutes=$(python3 -c "print(round(9.5 - $SECONDS / 60, 2))")
python3 tools/benchmark.py gpu --json "$result" --minutes "$minutes" "${options[@]}" "$@"
