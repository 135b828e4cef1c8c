#!/usr/bin/env bash
# Sets up everything the project needs in .venv: `make setup`, `make test` and `make demo` call it.
#
#   tools/setup_env.sh          environment variables: PYTHON=<interpreter>, CUDA=1 or 0
#
# Does nothing, quickly, when .venv is already what requirements/ and pyproject.toml ask for. May be interrupted
# and called again at any moment. The wheel of onedl-mmcv, minutes to compile, is kept under
# ${XDG_CACHE_HOME:-~/.cache}/symmim_mm/wheels for the next set-up with the same Python, torch and CUDA.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
python=$venv/bin/python
stamp=$venv/.setup-done
log=$venv/setup.log
user_cache=${XDG_CACHE_HOME:-${HOME:-$root}/.cache}
wheel_cache=$user_cache/symmim_mm/wheels
pins=$root/requirements/constraints.txt

# Settings of the user's shell that would make pip or Python work elsewhere than in .venv.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONNOUSERSITE=1

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
# shellcheck source=tools/setup_checks.sh
source "$root/tools/setup_checks.sh"
pin() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$pins"; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
gib() { awk -v kib="$1" 'BEGIN { printf "%.1f GiB", kib / 1048576 }'; }

duration() {
    if [ "$1" -lt 60 ]; then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

# ---- is there anything to do? ----------------------------------------------------------------------------------

fingerprint() {
    { cat "$root"/requirements/*.txt "$root/pyproject.toml" "$root"/tools/setup_*.sh; echo "$root"; } \
        | sha256sum | cut -d' ' -f1
}

up_to_date() {
    local done_for operators version
    [ -f "$stamp" ] && read -r done_for operators version <"$stamp" || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$version" ] || return 1
    case ${CUDA:-} in
        1) [ "$operators" = cuda ] || return 1 ;;
        0) [ "$operators" = cpu ] || return 1 ;;
    esac
    [ "$done_for" = "$(fingerprint)" ] && "$python" -c '' 2>/dev/null || return 1
    say "up to date (.venv with Python $version, mmcv operators for: $operators)"
}

# ---- running a long step -----------------------------------------------------------------------------------------

child=
own_folders=()  # removed at the end, however it comes
cleanup() {
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        wait "$child" || true
    fi
    rm -rf "${own_folders[@]}"
}
trap cleanup EXIT
trap 'say "interrupted; call it again to go on"; exit 130' INT TERM HUP

# The compiler's "[12/78]" where there is one, otherwise the last line that says something.
progress() {
    tail -n +"$1" "$log" | awk '/^WARNING/ || /━/ || /^[[:space:]]*$/ { next }
        match($0, /\[[0-9]+\/[0-9]+\]/) { line = substr($0, RSTART, RLENGTH) " files compiled"; next }
        { sub(/^[[:space:]]+/, ""); line = substr($0, 1, 90) }
        END { print line }'
}

# The first line that names an error, otherwise the last line that says something. Each reader of the log reads it to
# its end: one that stopped at its match would break the pipe, which `pipefail` takes for "not found".
reason() {
    local found
    found=$(tail -n +"$1" "$log" | awk '
        /^WARNING: Retrying .* connection broken/ { unreachable = 1 }
        /^WARNING/ { next }
        error == "" && tolower($0) ~ /(^|: |^ *)(fatal )?error: / { error = $0 }
        END { print unreachable ? "no connection to the package index" : error }')
    echo "${found:-$(progress "$1")}"
}

# step LABEL COMMAND...: runs it in a process group of its own with its output in the log, reporting now and then.
step() {
    local label=$1 begin=$SECONDS report=30 first code=0
    shift
    say "$label"
    first=$(($(wc -l <"$log") + 1))
    printf '\n== %s\n' "$label" >>"$log"
    setsid "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - begin)) -ge "$report" ]; then
            say "  $(duration $((SECONDS - begin))): $(progress "$((first + 2))")"
            report=$((report + 30))
        fi
    done
    wait "$child" 2>/dev/null || code=$?
    child=
    [ "$code" -le 128 ] || fail "$label: ended by signal $((code - 128)) (9: perhaps out of memory; log: $log)"
    [ "$code" -eq 0 ] || fail "$label: $(reason "$((first + 2))") (log: $log)"
    [ $((SECONDS - begin)) -lt 5 ] || say "  done in $(duration $((SECONDS - begin)))"
}

# ---- the steps ---------------------------------------------------------------------------------------------------

make_venv() {
    # Made anew: a .venv without a running Python, one copied from elsewhere (its scripts lead back there), and one
    # of another Python than PYTHON asks for.
    if [ -d "$venv" ] && { ! "$python" -m pip --version >/dev/null 2>&1 \
        || ! grep -qF "$venv" "$venv/bin/activate" 2>/dev/null \
        || { [ -n "${PYTHON:-}" ] && [ "$(version_of "$python")" != "$(version_of "$PYTHON")" ]; }; }; then
        say 'removing the present .venv, which does not fit'
        rm -rf "$venv"
    fi
    mkdir -p "$venv"
    rm -f "$stamp"
    : >"$log"
    [ -x "$python" ] || step "making .venv with $("$base_python" --version)" "$base_python" -m venv "$venv"
    # A package without its list of files was being unpacked when an earlier set-up was killed: forget it.
    "$python" - <<'PY' >>"$log" 2>&1
import importlib.metadata, pathlib, shutil
for found in list(importlib.metadata.distributions()):
    folder = pathlib.Path(found._path)
    if folder.suffix == '.dist-info' and not (folder / 'RECORD').exists():
        print('half-installed, will be installed again:', folder.name)
        shutil.rmtree(folder)
PY
}

# Whether every pinned package but onedl-mmcv is there in its version, and not both OpenCV packages.
packages_match() {
    "$python" - "$pins" >>"$log" 2>&1 <<'PY'
import importlib.metadata, re, sys
from pip._vendor.packaging.requirements import Requirement
canonical = lambda name: re.sub('[-_.]+', '-', name.lower())
installed = {canonical(each.name): each.version for each in importlib.metadata.distributions()}
wrong = ['opencv-python-headless'] if 'opencv-python-headless' in installed else []
for line in open(sys.argv[1]):
    if line.strip() and line[0] != '#':
        pin = Requirement(line.split(' #')[0])
        if (pin.marker is None or pin.marker.evaluate()) and canonical(pin.name) != 'onedl-mmcv':
            if installed.get(canonical(pin.name), '') not in pin.specifier:
                wrong.append(pin.name)
print('to install or change:', ', '.join(wrong) or 'nothing')
raise SystemExit(bool(wrong))
PY
}

install_packages() {
    if packages_match; then return; fi
    local wanted=$venv/requirements.txt opencv
    opencv=opencv-python==$(pin opencv-python)
    # onedl-mmcv needs the torch installed here to compile against, so it comes after the rest.
    cat "$root"/requirements/{runtime,dev}.txt | grep -v '^onedl-mmcv\b' >"$wanted"
    step 'installing PyTorch and the libraries (about 2 GiB to download)' \
        "$python" -m pip install -r "$wanted" "setuptools==$(pin setuptools)" "wheel==$(pin wheel)" \
        "ninja==$(pin ninja)" -c "$pins"
    # imaug asks for both OpenCV packages, which overwrite each other's files: keep the one that is pinned.
    if "$python" -m pip uninstall -y opencv-python-headless 2>&1 | tee -a "$log" | grep 'Successfully' >/dev/null; then
        step "installing $opencv on its own" \
            "$python" -m pip install --force-reinstall --no-deps "$opencv"
    fi
    "$python" -c 'import cv2' 2>>"$log" \
        || fail "OpenCV does not load: $(tail -n 1 "$log") (Debian packages libgl1 libglib2.0-0)"
}

# Sets operators (cpu or cuda) and, for cuda, CUDA_HOME and TORCH_CUDA_ARCH_LIST.
choose_operators() {
    local wanted=${CUDA:-auto} capabilities='' torch_cuda nvcc_cuda='' problem=''
    operators=cpu
    [ "$wanted" != 0 ] || return 0
    if command -v nvidia-smi >/dev/null; then
        capabilities=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | paste -sd';') \
            || capabilities=
    fi
    [ "$wanted" = 1 ] || [ -n "$capabilities" ] || return 0

    torch_cuda=$("$python" -c 'import torch; print(torch.version.cuda or "")')
    if find_cuda_home; then
        nvcc_cuda=$("$CUDA_HOME/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    fi
    if [ -z "$torch_cuda" ]; then
        problem='the installed torch is a CPU-only build'
    elif [ -z "$nvcc_cuda" ]; then
        problem="no nvcc found (install the CUDA toolkit $torch_cuda, or set CUDA_HOME)"
    elif [ "${nvcc_cuda%%.*}" != "${torch_cuda%%.*}" ]; then
        problem="nvcc is CUDA $nvcc_cuda, torch is built for CUDA $torch_cuda (set CUDA_HOME to a toolkit $torch_cuda)"
    fi
    if [ -n "$problem" ]; then
        [ "$wanted" != 1 ] || fail "CUDA=1: $problem"
        say "note: a GPU is present, but mmcv gets CPU operators only: $problem; then call make setup CUDA=1"
        return 0
    fi
    operators=cuda
    export CUDA_HOME TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-${capabilities:-8.0;8.6;8.9;9.0+PTX}}
}

# The folder of the CUDA toolkit. nvcc on PATH may be a wrapper elsewhere, so nvcc itself is asked for its folder.
find_cuda_home() {
    local dir nvcc top=''
    nvcc=$(command -v nvcc || true)
    [ -z "$nvcc" ] || top=$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
    for dir in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "$top" /usr/local/cuda; do
        if [ -n "$dir" ] && [ -x "$dir/bin/nvcc" ] && [ -e "$dir/include/cuda_runtime.h" ]; then
            CUDA_HOME=$(cd "$dir" && pwd -P)
            return 0
        fi
    done
    return 1
}

# Fails unless the compiled operators load into the installed torch and compute, on the GPU where they are for it.
mmcv_works() {
    "$python" - "$operators" >>"$log" 2>&1 <<'PY'
import sys
import torch
from mmcv.ops import get_compiling_cuda_version, nms
on_cuda = get_compiling_cuda_version() != 'not available'
assert on_cuda == (sys.argv[1] == 'cuda'), f'compiled for CUDA: {on_cuda}, wanted: {sys.argv[1]}'
boxes = torch.tensor([[0., 0., 10., 10.], [0., 0., 10., 9.], [20., 20., 30., 30.]])
for device in ['cpu'] + ['cuda'] * (on_cuda and torch.cuda.is_available()):
    kept = nms(boxes.to(device), torch.tensor([.9, .8, .7], device=device), .5)[1]
    assert kept.tolist() == [0, 2], f'nms on {device} kept {kept.tolist()}'
PY
}

version_of_package() { "$python" -m pip show "$1" 2>/dev/null | sed -n 's/^Version: //p'; }

install_wheel() { "$python" -m pip install --force-reinstall --no-deps "$1"/*.whl >>"$log" 2>&1; }

compile_mmcv() {
    local cores memory_jobs
    cores=$(nproc)
    memory_jobs=$(awk '/MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
    export MAX_JOBS=${MAX_JOBS:-$((cores < memory_jobs ? cores : (memory_jobs > 0 ? memory_jobs : 1)))}
    # Python's own flags ask for debug symbols, which double the time and serve nobody here.
    local flags="-DNDEBUG -fwrapv -O2 -g0"
    export CFLAGS="$flags ${CFLAGS:-}" CXXFLAGS="$flags ${CXXFLAGS:-}" PATH="$venv/bin:$PATH"
    # A toolkit of nvcc alone lacks the headers of the libraries that torch's own packages bring.
    if [ "$operators" = cuda ]; then
        CPATH=$(printf '%s:' "$venv"/lib/python3*/site-packages/nvidia/*/include)${CPATH:-}
        export CPATH=${CPATH%:}
    fi
    # mmcv's build looks at FORCE_CUDA and at whether a GPU is visible; for CPU operators it must see neither.
    local -a switches=(FORCE_CUDA=1)
    [ "$operators" = cuda ] || switches=(FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=)
    step "compiling onedl-mmcv for $operators with $MAX_JOBS jobs (once for this Python and torch; minutes)" \
        env "${switches[@]}" "$python" -m pip wheel -v --no-cache-dir --no-build-isolation --no-deps \
        --wheel-dir "$1" "onedl-mmcv==$(pin onedl-mmcv)"
}

install_mmcv() {
    local key place scratch
    choose_operators
    if [ "$(version_of_package onedl-mmcv)" = "$(pin onedl-mmcv)" ] && mmcv_works; then return; fi
    key=$("$python" -c 'import platform, sys, torch
print(f"cp{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}-{platform.machine()}")')
    key=mmcv$(pin onedl-mmcv)-$key-$operators
    [ "$operators" = cpu ] || key=$key-sm${TORCH_CUDA_ARCH_LIST//[; ]/_}
    place=$wheel_cache/$key

    exec 8>"$wheel_cache/$key.lock"
    flock -n 8 || { say 'another set-up is compiling the same onedl-mmcv: waiting for it'; flock 8; }
    if [ -d "$place" ]; then
        say "installing onedl-mmcv from the wheel cache ($key)"
        if install_wheel "$place" && mmcv_works; then
            exec 8>&-
            return
        fi
        say "  that wheel does not work here ($(tail -n 1 "$log")): compiling anew"
        rm -rf "$place"
    fi
    check_compiler
    rm -rf "$wheel_cache/.$key".*
    scratch=$(mktemp -d "$wheel_cache/.$key.XXXXXX")
    own_folders+=("$scratch")
    compile_mmcv "$scratch"
    install_wheel "$scratch" && mmcv_works \
        || fail "the compiled onedl-mmcv does not work: $(tail -n 1 "$log") (log: $log)"
    mv "$scratch" "$place"
    exec 8>&-
}

install_project() {
    step 'installing the project itself' "$python" -m pip install --no-deps --no-build-isolation -e "$root"
    step 'trying the libraries' "$python" -W ignore -c 'import mmpretrain.models, mmdet.models, mmseg.models, symmim_mm'
}

main() {
    case ${CUDA:-} in '' | 0 | 1) ;; *) fail "CUDA=$CUDA: only 1, 0 or nothing" ;; esac
    if up_to_date; then return; fi
    find_python
    wheel_may_be_cached || check_compiler
    check_opencv_libraries
    [ "${CUDA:-}" != 1 ] || find_cuda_home || fail 'CUDA=1: no nvcc found: install the CUDA toolkit, or set CUDA_HOME'
    check_writable
    exec 9>"$root/.venv.lock"
    flock -n 9 || { say 'another set-up is under way in this folder: waiting for it'; flock 9; }
    if up_to_date; then return; fi
    check_space

    TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/symmim-setup.XXXXXX")  # pip, killed, leaves gigabytes behind
    export TMPDIR
    own_folders+=("$TMPDIR")
    make_venv
    install_packages
    install_mmcv
    install_project
    echo "$(fingerprint) $operators $(version_of "$python")" >"$stamp.new"
    mv "$stamp.new" "$stamp"
    say "complete in $(duration $SECONDS) (mmcv operators for: $operators)"
}

{ main; exit; }  # read as one, so that editing this file does not disturb a set-up under way
