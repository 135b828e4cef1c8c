#!/usr/bin/env bash
# Sets up everything the project needs in .venv: `make setup`, `make test` and `make demo` call it.
#
#   PYTHON=<interpreter>   another Python than the first suitable one
#   OPS=compiled           compile all operators of mmcv: minutes, needs a C++ compiler and, for GPUs, nvcc
#
# Does nothing, quickly, if .venv is already what requirements/ asks for. A .venv that is unfinished, copied here or
# of another Python is made anew; pip's cache keeps what was downloaded. Log: .venv/setup.log.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
python=$venv/bin/python
stamp=$venv/.setup-done
log=$venv/setup.log
pins=$root/requirements/constraints.txt
installed=$venv/constraints.txt  # pins as they were when .venv was finished
oldest_minor=11 newest_minor=13  # of Python 3
venv_mib=6600 download_mib=3150  # measured on x86-64 Linux

# Settings of the user's shell that would make pip or Python work elsewhere than in .venv.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PYTHONNOUSERSITE=1

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

fingerprint() {
    { cat "$root"/requirements/*.txt "$root/pyproject.toml" "$root/tools/setup_env.sh"; echo "$root"; } \
        | sha256sum | cut -d' ' -f1
}

# Whether .venv was finished once, in this place and with the wanted Python; sets operators and version.
venv_fits() {
    [ -f "$stamp" ] && [ -f "$installed" ] && read -r done_for operators version <"$stamp" && grep -qF "$venv" "$venv/bin/activate" \
        && [ "$(version_of "$python")" = "$version" ] \
        && { [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$version" ]; }
}

up_to_date() {
    venv_fits && [ "$done_for" = "$(fingerprint)" ] && [ "${OPS:-$operators}" = "$operators" ] || return 1
    say "up to date (.venv with Python $version, mmcv's operators: $operators)"
}

# ---- checks before any long work -------------------------------------------------------------------------------

find_python() {
    local candidate version unfit=''
    local -a candidates=(python3.12 python3.11 python3.13 python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for base_python in "${candidates[@]}"; do
        version=$(version_of "$base_python") || continue
        if [[ ! $version =~ ^3\.([0-9]+)$ ]] \
            || ((BASH_REMATCH[1] < oldest_minor || BASH_REMATCH[1] > newest_minor)); then
            unfit+=", $base_python is $version"
        elif "$base_python" -c 'import ensurepip, venv' 2>/dev/null; then
            return
        else
            unfit+=", $base_python lacks venv: install the Debian package python3-venv"
        fi
    done
    unfit=${unfit:2}
    fail "Python 3.$oldest_minor to 3.$newest_minor is needed (${unfit:-found no ${candidates[*]}});" \
        'name another with PYTHON=/path/to/python3'
}

# pip downloads into .venv/tmp and keeps a copy in its cache.
check_space() {
    "$base_python" - "$root" $((venv_mib + download_mib)) \
        "${PIP_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-$root}/.cache}/pip}" "$download_mib" <<'PY'
import os, shutil, sys
needed, free = {}, {}
for folder, mib in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    disk = os.stat(folder).st_dev
    needed[disk] = needed.get(disk, 0) + mib
    free.setdefault(disk, (folder, shutil.disk_usage(folder).free >> 20))
for disk, (folder, mib) in free.items():
    if mib < needed[disk]:
        sys.exit(f'error: not enough disk space at {folder}: {needed[disk] / 1024:.1f} GiB needed, '
                 f'{mib / 1024:.1f} GiB free')
PY
}

check_compiler() {
    command -v "${CXX:-c++}" >/dev/null && "$base_python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        || fail "OPS=compiled needs a C++ compiler and Python's headers: install the Debian packages g++ python3-dev"
}

# ---- running a long step -----------------------------------------------------------------------------------------

child=
cleanup() {
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        wait "$child" || true
    fi
    rm -rf "$venv/tmp"
}
trap cleanup EXIT
trap 'say "interrupted; call it again"; exit 130' INT TERM HUP

# The first line from number $1 on that names an error, otherwise the last one. Reads the log to its end: stopping
# at a match would break the pipe, which `pipefail` takes for "not found".
reason() {
    tail -n +"$1" "$log" | awk '/^WARNING: Retrying .* connection broken/ { unreachable = 1 }
        /^WARNING/ { next }
        { last = $0 }
        error == "" && tolower($0) ~ /(^|: |^ *)(fatal )?error: / { error = $0 }
        END { print unreachable ? "no connection to the package index" : error == "" ? last : error }'
}

# step LABEL COMMAND...: runs it in a process group of its own with its output in the log, reporting now and then.
step() {
    local label=$1 begin=$SECONDS report=30 first code=0
    shift
    say "$label"
    first=$(($(wc -l <"$log") + 1))
    setsid "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - begin >= report)); then
            say "  $report s: $(tail -n 1 "$log" | cut -c 1-90)"
            report=$((report + 30))
        fi
    done
    wait "$child" || code=$?
    child=
    [ "$code" -eq 0 ] || fail "$label: $(reason "$first") (exit code $code, log: $log)"
}

# ---- the steps ---------------------------------------------------------------------------------------------------

pip() { step "$1" "$python" -m pip install --no-deps "${@:2}"; }
names() { sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' "$@"; }

main() {
    local done_for operators=torchvision version mmcv
    case ${OPS:-} in '' | compiled) ;; *) fail "OPS=$OPS: only compiled, or nothing" ;; esac
    if up_to_date; then return; fi
    find_python
    [ "${OPS:-}" != compiled ] || check_compiler
    [ -w "$root" ] || fail "cannot write in $root"
    exec 9>"$root/.venv.lock"
    flock -n 9 || { say 'another set-up is under way in this folder: waiting for it'; flock 9; }
    if up_to_date; then return; fi

    if ! venv_fits; then
        operators=torchvision
        rm -rf "$venv"
        check_space
        mkdir "$venv"
        : >"$log"
        step "making .venv with $("$base_python" --version)" "$base_python" -m venv "$venv"
    fi
    rm -f "$stamp"
    mkdir -p "$venv/tmp"
    export TMPDIR=$venv/tmp
    operators=${OPS:-$operators}

    # What an earlier list had and this one has not.
    if [ -f "$installed" ] && names "$installed" | grep -vxF "$(names "$pins")" >"$TMPDIR/gone"; then
        step 'removing what is no longer needed' "$python" -m pip uninstall -y -r "$TMPDIR/gone"
    fi
    # pip builds mmcv out of torch's sight, and so without operators. pip's cache would confuse such a wheel with a
    # compiled one.
    mmcv=$(sed -n 's/^\(onedl-mmcv==[^ ]*\).*/\1/p' "$pins")
    pip 'installing mmcv without its operators' --no-cache-dir "$mmcv"
    pip "installing PyTorch and the libraries (about $download_mib MiB to download)" -r "$pins"
    # MMEngine imports transformers where it finds it, a second in every process: only its tests get to see it.
    rm -rf "$venv/transformers"
    pip 'installing transformers, for tests' --target "$venv/transformers" -r "$root/requirements/transformers.txt"
    if [ "$operators" = compiled ]; then
        pip 'installing ninja' ninja
        # mmcv 2.3.6 asks for C++17, the headers of PyTorch 2.14 for C++20.
        step 'downloading the source of mmcv' "$python" -m pip download --no-deps --no-binary :all: -d "$TMPDIR" "$mmcv"
        mkdir "$TMPDIR/mmcv"
        tar -xzf "$TMPDIR"/onedl_mmcv-*.tar.gz -C "$TMPDIR/mmcv" --strip-components=1
        sed -i 's/-std=c++17/-std=c++20/' "$TMPDIR/mmcv/setup.py"
        CFLAGS="-g0 ${CFLAGS:-}" PATH="$venv/bin:$PATH" pip "compiling mmcv's operators (minutes)" \
            --verbose --no-build-isolation --force-reinstall "$TMPDIR/mmcv"
    fi
    pip 'installing the project itself' --no-build-isolation -e "$root"
    step 'trying the libraries' "$python" -W ignore -c 'import symmim_mm, mmpretrain.models, mmdet.models, mmseg.models'

    cp "$pins" "$installed"
    echo "$(fingerprint) $operators $(version_of "$python")" >"$stamp.new"
    mv "$stamp.new" "$stamp"
    say "complete in $SECONDS s (mmcv's operators: $operators)"
}

{ main; exit; }  # read as one, so that editing this file does not disturb a set-up under way
