"""The documents against what they speak of: links, anchors, files, variables, metrics, alerts, the version.

With the folder of a build as its argument: their commands and options against the command line, and nothing else.
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBLEMS = []


def problem(text):
    PROBLEMS.append(text)


def listed(*patterns):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def prose(text):
    """The text without fenced code."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.S | re.M)


def anchors(text):
    """The anchors that a Markdown viewer makes of headings."""
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose(text), flags=re.M):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def check_link(path, target):
    if re.match(r"[a-z]+:", target):
        return
    name, _, anchor = target.partition("#")
    file = (path.parent / name).resolve() if name else path
    where = path.relative_to(ROOT)
    if not file.exists():
        problem(f"{where}: the link {target} leads nowhere")
    elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
        problem(f"{where}: {name or path.name} has no heading for #{anchor}")


def command_tree(build):
    """What the command line understands."""
    dump = subprocess.run([build / "escapement", "--experimental-dump-help"], capture_output=True, text=True, check=True)
    return json.loads(dump.stdout)["command"]


def check_command(where, words, tree):
    command, path = tree, ["escapement"]
    while len(words) > 0 and not words[0].startswith("-"):
        children = {child["commandName"]: child for child in command.get("subcommands", [])}
        if not children:
            break
        if words[0] not in children:
            problem(f"{where}: there is no command '{' '.join(path)} {words[0]}'")
            return
        command = children[words[0]]
        path.append(words.pop(0))
    options = {name["name"] for argument in command.get("arguments", []) for name in argument.get("names") or []}
    for word in words:
        option = re.match(r"--?([a-z][a-z-]*)", word)
        if option and option[1] not in options:
            problem(f"{where}: '{' '.join(path)}' has no option {word}")


def shell_lines(text):
    """The lines of the fenced shell code, without prompts and comments."""
    for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, flags=re.S | re.M):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield re.sub(r"^\$ |\s#.*$", "", line.strip())


def check_commands(tree):
    words = r"'[^']*'|\"[^\"]*\"|\S+"
    for path in listed("*.md"):
        text = path.read_text()
        calls = re.findall(r"`escapement ([a-z][^`]*)`", prose(text))
        for line in shell_lines(text):
            calls += re.findall(r"(?:^|[|;&] *)escapement ((?:'[^']*'|\"[^\"]*\"|[^|;&'\"])+)", line)
        for call in calls:
            check_command(path.relative_to(ROOT), re.findall(words, call), tree)


def check_documents():
    for path in listed("*.md"):
        text = path.read_text()
        where = path.relative_to(ROOT)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
            check_link(path, target)
        for line in shell_lines(text):
            for file in re.findall(r"(?:^|\s)(?:\./)?((?:compose|k8s|scripts|monitoring|systemd)/[\w./-]+)", line):
                if not (ROOT / file).exists() and "secrets" not in file:
                    problem(f"{where}: there is no {file}")
    for path in listed("*.swift"):
        for target in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text()):
            if not (ROOT / target).exists():
                problem(f"{path.relative_to(ROOT)}: there is no {target}")


def check_alerts():
    runbook = anchors((ROOT / "docs/runbook.md").read_text())
    text = (ROOT / "monitoring/prometheus/alerts.yaml").read_text()
    for name in re.findall(r"alert: (\w+)", text):
        if name.lower() not in runbook:
            problem(f"docs/runbook.md has no section {name}")
        if f"runbook_url: '{{{{ $externalLabels.escapement_docs }}}}docs/runbook.md#{name.lower()}'" not in text:
            problem(f"the alert {name} does not lead to its section of the runbook")


def check_metrics():
    documented = set(re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs/metrics.md").read_text(), flags=re.M))
    documented = {name for cell in documented for name in re.findall(r"`([a-z_]+)`", cell)}
    sources = "\n".join(path.read_text() for path in listed("Shared/*.swift", "Services/*.swift"))
    exported = set(re.findall(r"\"((?:escapement|process)_[a-z_]+|http_server_[a-z_]+)\"", sources))
    for name in sorted(documented - exported):
        problem(f"docs/metrics.md: no service exports {name}")
    for name in sorted(exported - documented):
        if re.search(r"_(total|seconds|bytes|info|owned|pending|up|leader|epoch|members|unowned|inflight|depth|fds|threads|fires)$", name):
            problem(f"docs/metrics.md does not know {name}")


def check_variables():
    manual = "".join((ROOT / "docs" / name).read_text() for name in ["configuration.md", "configuration-reference.md"])
    known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", manual))
    own = r"\b((?:ESCAPEMENT|KAFKA|ELASTICSEARCH)_[A-Z][A-Z0-9_]*|PG[A-Z]{3,})\b"
    read = "\n".join(path.read_text() for path in listed("Shared/Configuration/*.swift"))
    for name in sorted(set(re.findall(r"\"(ESCAPEMENT_[A-Z_]+)\"", read)) - known):
        problem(f"docs/configuration-reference.md does not know {name}")
    files = listed("k8s/*.env", "systemd/*.service", "docs/*.md") + [ROOT / "k8s/base/coordinator.yaml",
                                                                     ROOT / "k8s/base/dispatcher.yaml", ROOT / "k8s/base/ticker.yaml"]
    for path in files:
        for name in set(re.findall(own, re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.M))):
            if name not in known and not any(name.startswith(prefix) for prefix in ["KAFKA_PROPERTY_", "PGDATA"]):
                problem(f"{path.relative_to(ROOT)}: {name} is not in docs/configuration-reference.md")


def check_version():
    """The release is one number, wherever it stands."""
    sources = (ROOT / "Shared/Observability/ProcessIdentity.swift").read_text()
    release = re.search(r'static let version = "(.+)"', sources)[1]
    patterns = {
        "Dockerfile": r"^ARG VERSION=(.+)$",
        "k8s/base/kustomization.yaml": r"(?:newTag|app.kubernetes.io/version): ([^},\s]+)",
        "k8s/overlays/production/kustomization.yaml": r"newTag: ([^},\s]+)",
    }
    for file, pattern in patterns.items():
        found = set(re.findall(pattern, (ROOT / file).read_text(), flags=re.M))
        if found != {release}:
            problem(f"{file}: the version is {', '.join(sorted(found))}, that of the code is {release}")


if len(sys.argv) > 1:
    check_commands(command_tree(pathlib.Path(sys.argv[1])))
else:
    check_documents()
    check_alerts()
    check_metrics()
    check_variables()
    check_version()
if PROBLEMS:
    sys.exit("\n".join(PROBLEMS))
