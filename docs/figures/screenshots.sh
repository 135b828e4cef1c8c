#!/bin/bash
# Screenshots of the documentation, by a headless Chromium: docs/figures/screenshots.sh REPORT.html
set -euo pipefail
page=$(realpath "${1:?usage: $0 REPORT.html, the page of \`make demo\`}")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
    --window-size=1240,1180 --screenshot="$(dirname "$0")/../report.png" "file://$page"
