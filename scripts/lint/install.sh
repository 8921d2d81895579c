#!/usr/bin/env bash
# Installs the validators of scripts/lint/deployment.sh into .dev-tools: Python packages by name from PyPI, promtool and
# amtool out of Debian's packages. Nothing on the machine is changed. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/.dev-tools

say() { printf '==> %s\n' "$*" >&2; }

say "Python packages of scripts/lint/requirements.txt"
[ -x "$tools/venv/bin/pip" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/lint/requirements.txt

if ! command -v promtool >/dev/null || ! command -v amtool >/dev/null; then
    if command -v apt-get >/dev/null; then
        say "promtool and amtool from Debian's packages"
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        chmod 0755 "$folder"
        (cd "$folder" && apt-get download -qq prometheus prometheus-alertmanager 2>/dev/null) || say "they cannot be had here"
        for package in "$folder"/*.deb; do
            [ -e "$package" ] && dpkg-deb --extract "$package" "$tools/debian"
        done
    fi
fi
say "the validators are in .dev-tools; ./dev lint uses them"
