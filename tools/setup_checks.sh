# Sourced by setup_env.sh: the checks that come before any long work. Each ends the set-up with one clear line.

# Oldest and newest Python that the pinned versions install on.
oldest_minor=11
newest_minor=13

# Measured on x86-64 Linux, in KiB: the finished .venv; what pip downloads, kept once in its temporary folder and
# once in its cache; and the object files of onedl-mmcv.
venv_kib=$((6100 * 1024))
download_kib=$((2300 * 1024))
build_kib=$((300 * 1024))

find_python() {
    local candidate version unfit='' no_venv=''
    local -a candidates=(python3.12 python3.11 python3.13 python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    base_python=
    for candidate in "${candidates[@]}"; do
        version=$(version_of "$candidate") || continue
        if ! [[ $version =~ ^3\.([0-9]+)$ ]] || [ "${BASH_REMATCH[1]}" -lt $oldest_minor ] \
            || [ "${BASH_REMATCH[1]}" -gt $newest_minor ]; then
            unfit="${unfit:+$unfit, }$candidate is $version"
        elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            no_venv=$candidate
        else
            base_python=$candidate
            return
        fi
    done
    [ -z "$no_venv" ] || fail "$no_venv has no venv module: install the Debian package python3-venv"
    fail "Python 3.$oldest_minor to 3.$newest_minor is needed (${unfit:-found no ${candidates[*]}}): install one," \
        'or name one with PYTHON=/path/to/python3'
}

# Whether a wheel of onedl-mmcv that fits this Python may already be in the cache (its full key needs torch).
wheel_may_be_cached() {
    local tag
    tag=$(version_of "$base_python")
    tag=cp${tag/./}
    compgen -G "$wheel_cache/mmcv$(pin onedl-mmcv)-$tag-torch$(pin torch)*/*.whl" >/dev/null
}

check_compiler() {
    echo '#include <vector>' | "${CXX:-c++}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null \
        || fail "no working C++ compiler (${CXX:-c++}) to build onedl-mmcv: install the Debian package g++"
    "$base_python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        || fail "$base_python has no C headers (Python.h) to build onedl-mmcv: install the Debian package python3-dev"
}

check_opencv_libraries() {
    "$base_python" -c 'import ctypes; ctypes.CDLL("libGL.so.1"); ctypes.CDLL("libgthread-2.0.so.0")' 2>/dev/null \
        || fail 'OpenCV needs libGL and glib: install the Debian packages libgl1 libglib2.0-0'
}

used_kib() { if [ -d "$1" ]; then du -sk "$1" 2>/dev/null | cut -f1; else echo 0; fi; }
at_least_zero() { echo $(($1 > 0 ? $1 : 0)); }

check_space() {
    local pip_cache=${PIP_CACHE_DIR:-$user_cache/pip} to_install to_cache entry dir kib free mount
    to_install=$(at_least_zero $((venv_kib - $(used_kib "$venv"))))
    to_cache=0
    [ -n "${PIP_NO_CACHE_DIR:-}" ] || to_cache=$(at_least_zero $((download_kib - $(used_kib "$pip_cache"))))
    # An environment that is nearly complete downloads little.
    if [ "$to_install" -lt $((1024 * 1024)) ]; then download_kib=$to_install to_cache=0; fi

    local -A needed=() available=() folders=()
    for entry in "$venv:$to_install" "${TMPDIR:-/tmp}:$((download_kib + build_kib))" "$pip_cache:$to_cache" \
        "$wheel_cache:$((64 * 1024))"; do
        dir=${entry%:*} kib=${entry##*:}
        while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
        read -r free mount < <(df -Pk "$dir" | awk 'NR == 2 { print $4, $6 }')
        needed[$mount]=$((${needed[$mount]:-0} + kib))
        available[$mount]=$free
        folders[$mount]="${folders[$mount]:+${folders[$mount]}, }${entry%:*}"
    done
    local short=''
    for mount in "${!needed[@]}"; do
        [ "${available[$mount]}" -ge "${needed[$mount]}" ] || short+="${short:+;} on $mount: about $(gib \
            "${needed[$mount]}") needed (${folders[$mount]}), $(gib "${available[$mount]}") free"
    done
    [ -z "$short" ] || fail "not enough disk space$short"
}

check_writable() {
    local dir
    mkdir -p "$wheel_cache" 2>/dev/null || fail "cannot create $wheel_cache: set XDG_CACHE_HOME to a writable folder"
    for dir in "$root" "$wheel_cache" "${TMPDIR:-/tmp}"; do
        [ -d "$dir" ] && [ -w "$dir" ] || fail "cannot write in $dir"
    done
}
