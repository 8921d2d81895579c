#!/usr/bin/env bash
# Checks everything that is not Swift: images, compose, Kubernetes, alerts, dashboards, units, scripts, documents.
# A validator that is missing is skipped with a line that says so; with LINT_STRICT=1, or in CI, that is a failure.
# './dev tools' installs them.
# shellcheck disable=SC2329  # functions are called through check
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PATH=$PWD/.dev-tools/venv/bin:$PWD/.dev-tools/debian/usr/bin:$PATH
strict=${LINT_STRICT:-${CI:+1}}
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '==> lint: %s\n' "$*" >&2; }

# check NAME TOOL COMMAND...: runs COMMAND when TOOL exists, and shows what it printed when it fails.
check() {
    local name=$1 tool=$2
    shift 2
    if ! command -v "$tool" >/dev/null; then
        case "$tool" in
            kubectl | systemd-analyze | dpkg-query) say "$name: skipped, '$tool' is missing on this machine" ;;
            *)
                say "$name: skipped, '$tool' is missing; ./dev tools installs it"
                [ -z "$strict" ] || failed=1
                ;;
        esac
        return
    fi
    if "$@" > "$work/output" 2>&1; then
        say "$name"
    else
        say "$name: FAILED"
        cat "$work/output" >&2
        failed=1
    fi
}

mapfile -t shell_files < <(git ls-files --cached --others --exclude-standard | while read -r file; do
    [ -f "$file" ] && head -c 40 "$file" 2>/dev/null | head -n 1 | grep -aqE '^#!.*\b(ba)?sh\b' && printf '%s\n' "$file"
done)
mapfile -t yaml_files < <(git ls-files --cached --others --exclude-standard '*.yaml' '*.yml')
mapfile -t documents < <(git ls-files --cached --others --exclude-standard '*.md')

check "shell scripts" shellcheck shellcheck --severity=style "${shell_files[@]}"
check "YAML style" yamllint yamllint --strict -c scripts/lint/yamllint.yaml "${yaml_files[@]}"
check "spelling" codespell codespell --config scripts/lint/codespell.cfg "${documents[@]}" compose k8s monitoring/prometheus systemd
check "Markdown" pymarkdown pymarkdown --config scripts/lint/pymarkdown.json scan "${documents[@]}"

check "Dockerfile" hadolint hadolint --config scripts/lint/hadolint.yaml Dockerfile
check "packages of the images" dpkg-query python3 scripts/lint/images.py
check "compose schema" check-jsonschema check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
check "compose references" check-jsonschema python3 scripts/lint/compose_references.py compose/compose.yaml

# Kubernetes: every overlay, and every component on the base, for the oldest, a middle and the newest release.
render() {
    kubectl kustomize "$1" > "$work/$2.yaml"
}
rendered=(production components)
check "kustomize: production" kubectl render k8s/overlays/production production
mkdir -p "$work/tree"
cp -R k8s compose "$work/tree/"
mkdir -p "$work/tree/k8s/all"
printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'namespace: escapement' \
    'resources: [../base]' 'components:' > "$work/tree/k8s/all/kustomization.yaml"
for component in k8s/components/*/; do
    printf '  - ../components/%s\n' "$(basename "$component")" >> "$work/tree/k8s/all/kustomization.yaml"
done
check "kustomize: all components" kubectl render "$work/tree/k8s/all" components
if command -v openssl >/dev/null && "$work/tree/k8s/overlays/dev/secrets.sh" 2>/dev/null; then
    check "kustomize: dev" kubectl render "$work/tree/k8s/overlays/dev" dev
    rendered+=(dev)
fi
for name in "${rendered[@]}"; do
    [ -s "$work/$name.yaml" ] || continue
    for release in 1.30 1.34 1.37; do
        check "Kubernetes $release schema: $name" kubernetes-validate \
            kubernetes-validate --strict --quiet -k "$release" "$work/$name.yaml"
    done
    check "custom resources: $name" check-jsonschema python3 scripts/lint/custom_resources.py "$work/$name.yaml"
    check "policies: $name" checkov checkov --skip-download --quiet --compact --config-file scripts/lint/checkov.yaml \
        --framework kubernetes -f "$work/$name.yaml"
done

settings=(compose/compose.yaml)
for name in "${rendered[@]}"; do [ -s "$work/$name.yaml" ] && settings+=("$work/$name.yaml"); done
check "settings of the services" check-jsonschema python3 scripts/lint/configurations.py "${settings[@]}"

check "alert rules" promtool promtool check rules monitoring/prometheus/alerts.yaml
check "alert tests" promtool promtool test rules monitoring/prometheus/alerts.test.yaml
prometheus_config() {
    mkdir -p "$work/prometheus"
    cp monitoring/prometheus/*.yaml "$work/prometheus/"
    sed -i "s|/etc/prometheus/|$work/prometheus/|" "$work/prometheus/prometheus.yaml"
    promtool check config "$work/prometheus/prometheus.yaml"
}
check "Prometheus configuration" promtool prometheus_config
check "generated dashboards and rules" python3 python3 monitoring/generate.py --check
check "dashboards" promtool python3 scripts/lint/dashboards.py "$work/dashboards.yaml"

units() {
    local output
    # The executables are not installed where this runs; 'verify' exits with 0 whatever it finds.
    output=$(systemd-analyze verify systemd/*.service 2>&1 | grep -v 'is not executable: No such file' || true)
    [ -z "$output" ] || { printf '%s\n' "$output"; return 1; }
    for unit in systemd/*.service; do
        systemd-analyze security --offline=yes --threshold=20 "$unit" > /dev/null || return 1
    done
}
check "systemd units" systemd-analyze units

check "documents against code and files" python3 python3 scripts/lint/documents.py
[ -f docs/openapi.json ] && check "OpenAPI" openapi-spec-validator openapi-spec-validator docs/openapi.json
mapfile -t migrations < <(git ls-files --cached --others --exclude-standard '*.sql')
[ "${#migrations[@]}" -gt 0 ] && check "SQL" squawk squawk "${migrations[@]}"

exit "$failed"
