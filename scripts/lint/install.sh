#!/usr/bin/env bash
# Installs the validators of scripts/lint/deployment.sh into .dev-tools: Python packages by name from PyPI, promtool and
# amtool out of Debian's packages. Nothing else on the machine is changed. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/.dev-tools

say() { printf '==> %s\n' "$*" >&2; }

say "Python packages of scripts/lint/requirements.txt"
[ -x "$tools/venv/bin/pip" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/lint/requirements.txt

# Packages that cannot be had, because this is not Debian or its lists are old and may not be renewed, are an error.
download() {
    (cd "$1" && apt-get download -qq prometheus prometheus-alertmanager)
}
export PATH=$tools/debian/usr/bin:$PATH
if ! command -v promtool >/dev/null || ! command -v amtool >/dev/null; then
    say "promtool and amtool from Debian's packages"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    chmod 0755 "$folder"
    download "$folder" 2>/dev/null || { apt-get update -qq && download "$folder"; }
    for package in "$folder"/*.deb; do
        dpkg-deb --extract "$package" "$tools/debian"
    done
fi
command -v kubectl >/dev/null || say "kubectl is missing, and Debian has none that knows kustomize: install it from kubernetes.io"
say "the validators are in .dev-tools; ./dev lint uses them"
