#!/bin/bash
# Take the screenshots of docs/look.md: docs/figures/screenshots.sh RUNS SITE
#   RUNS  work_dirs/quickstart, after `make demo`
#   SITE  the folder that `make site` wrote
# By Chromium, and PYTHON, an interpreter with what `make app` installs (default: .venv/bin/python).
set -euo pipefail
usage="usage: $0 RUNS SITE"
runs=$(realpath "${1:?$usage}") site=$(realpath "${2:?$usage}")
figures=$(cd "$(dirname "$0")" && pwd)
python=$(realpath -s "${PYTHON:-$figures/../../.venv/bin/python}")
port=8917

work=$(mktemp -d)
log=$work/app.log
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$runs/../.."  # the configs of the runs name their data from there
PYTHONUNBUFFERED=1 "$python" -P -W ignore -m symmim_mm.cli app "$runs/symmim-pretrain-seed0" >"$log" &
server=$!
"$python" -P -m http.server "$port" --bind 127.0.0.1 -d "$site" >/dev/null 2>&1 &
until app=$(grep -om1 'http://[0-9.:]*' "$log"); do
    kill -0 $server
    sleep 1
done
"$python" -P -m symmim_mm.cli collect "$runs" --out "$work/report" >/dev/null
page=file://$work/report/index.html home=http://127.0.0.1:$port/index.html
"$python" "$figures/screenshots.py" "$figures" \
    site="$home" site-narrow="$home,narrow,dark" \
    page="$page" page-narrow="$page,narrow,dark" \
    app="$app" app-narrow="$app,narrow,dark"
