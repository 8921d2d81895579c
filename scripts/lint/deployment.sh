#!/usr/bin/env bash
# Checks everything that is not Swift: images, compose, Kubernetes, alerts, dashboards, units, scripts, documents.
# What cannot be run, because a validator is missing or nothing is built, is skipped with a line that says so; with
# LINT_STRICT=1, or in CI unless LINT_STRICT=0, that is a failure. './dev tools' installs the validators.
# shellcheck disable=SC2329  # functions are called through check
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PATH=$PWD/.dev-tools/venv/bin:$PWD/.dev-tools/debian/usr/bin:$PATH
strict=${LINT_STRICT:-${CI:+1}}
[ "$strict" != 0 ] || strict=
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '==> lint: %s\n' "$*" >&2; }

# skip NAME WHY
skip() {
    say "$1: skipped, $2"
    [ -z "$strict" ] || failed=1
}

# check NAME TOOL COMMAND...: runs COMMAND when TOOL exists, and shows what it printed when it fails.
check() {
    local name=$1 tool=$2
    shift 2
    if ! command -v "$tool" >/dev/null; then
        case "$tool" in
            kubectl | systemd-analyze | dpkg-query | openssl) skip "$name" "'$tool' is missing on this machine" ;;
            *) skip "$name" "'$tool' is missing; ./dev tools installs it" ;;
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

# The newest build that has every program: some checks compare files with what the programs say.
build=
for folder in .build/release .build/debug; do
    for program in escapement escapement-coordinator escapement-dispatcher escapement-ticker; do
        [ -x "$folder/$program" ] || continue 2
    done
    [ -n "$build" ] && [ "$build/escapement-ticker" -nt "$folder/escapement-ticker" ] || build=$folder
done

# check_built NAME TOOL COMMAND...: a check that needs the programs, and gets their folder as its last argument.
check_built() {
    if [ -n "$build" ]; then check "$@" "$build"; else skip "$1" "nothing is built; run swift build"; fi
}

mapfile -t shell_files < <(git ls-files --cached --others --exclude-standard | while read -r file; do
    [ -f "$file" ] && head -c 40 "$file" 2>/dev/null | head -n 1 | grep -aqE '^#!.*\b(ba)?sh\b' && printf '%s\n' "$file"
done)
listed() { git ls-files --cached --others --exclude-standard "$@" | while read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done; }
mapfile -t yaml_files < <(listed '*.yaml' '*.yml')
mapfile -t documents < <(listed '*.md')

check "shell scripts" shellcheck shellcheck --severity=style "${shell_files[@]}"
check "YAML style" yamllint yamllint --strict -c scripts/lint/yamllint.yaml "${yaml_files[@]}"
check "spelling" codespell codespell --config scripts/lint/codespell.cfg "${documents[@]}" compose k8s monitoring/prometheus systemd
check "Markdown" pymarkdown pymarkdown --config scripts/lint/pymarkdown.json scan "${documents[@]}"

check "Dockerfile" hadolint hadolint --config scripts/lint/hadolint.yaml Dockerfile
check "policies: Dockerfile" checkov checkov --skip-download --quiet --compact --framework dockerfile -f Dockerfile
check_built "packages of the images" dpkg-query python3 scripts/lint/images.py
check "compose schema" check-jsonschema check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
check "compose references" check-jsonschema python3 scripts/lint/compose_references.py compose/compose.yaml

# Kubernetes: every overlay, every component on the base, and the file of a release, for the oldest, a middle and the
# newest version of Kubernetes.
render() {
    kubectl kustomize "$1" > "$work/$2.yaml"
}
rendered=(production components dev install)
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
check "secrets: dev" openssl "$work/tree/k8s/overlays/dev/secrets.sh"
check "kustomize: dev" kubectl render "$work/tree/k8s/overlays/dev" dev
render_install() { scripts/install-manifest 1.2.3 registry.example/team > "$work/install.yaml"; }
check "kustomize: install.yaml" kubectl render_install

# Each component that production does not have already, in production: its patches must fit both.
for component in k8s/components/*/; do
    component=$(basename "$component")
    grep -q "components/$component\$" k8s/overlays/production/kustomization.yaml && continue
    rm -rf "$work/with"
    mkdir "$work/with"
    cp -R k8s "$work/with/"
    sed -i "s|^components:|&\n  - ../../components/$component|" "$work/with/k8s/overlays/production/kustomization.yaml"
    check "kustomize: production with $component" kubectl render "$work/with/k8s/overlays/production" "with-$component"
    check "Kubernetes 1.37 schema: production with $component" kubernetes-validate \
        kubernetes-validate --strict --quiet -k 1.37 "$work/with-$component.yaml"
    check "custom resources: production with $component" check-jsonschema \
        python3 scripts/lint/custom_resources.py "$work/with-$component.yaml"
done
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
check_built "settings of the services" check-jsonschema python3 scripts/lint/configurations.py "${settings[@]}"

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
check_built "commands in the documents" python3 python3 scripts/lint/documents.py

exit "$failed"
