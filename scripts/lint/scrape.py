"""A live scrape (on the standard input) against docs/metrics.md: what a role's row promises is there, from the start and with a
value, and nothing of ours is there that no row names.

    curl -s http://127.0.0.1:9090/metrics | python3 scripts/lint/scrape.py ticker
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LETTERS = {"coordinator": "C", "ticker": "T", "dispatcher": "D"}


def documented(role):
    """Type and labels of every family of a role."""
    rows = re.findall(r"^\| (`[^|]+) \| (\w+) \|([^|]*)\| ([^|]+) \|", (ROOT / "docs/metrics.md").read_text(), flags=re.M)
    for names, kind, labels, roles in rows:
        if roles.strip() == "all" or LETTERS[role] in roles:
            for name in re.findall(r"`([a-z_]+)`", names):
                yield name, kind, set(re.findall(r"`([a-z_]+)`", labels))


def main(role):
    text = sys.stdin.read()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.M))
    samples = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*?)\})? \S+$", text, flags=re.M):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        family = base if types.get(base) == "histogram" else name
        samples.setdefault(family, set()).update(re.findall(r"(\w+)=\"", labels))
    problems, known = [], set()
    for name, kind, labels in documented(role):
        known.add(name)
        if name not in types:
            problems.append(f"{role} does not export {name}")
        elif types[name] != kind:
            problems.append(f"{role}: {name} is a {types[name]}, documented as {kind}")
        elif name not in samples:
            # Nothing has been asked of a coordinator yet, so there is no route; what a label's values are is not known before.
            if kind != "histogram" or name != "http_server_request_duration_seconds":
                problems.append(f"{role}: {name} has no value from the start")
        elif samples[name] - {"le"} != labels:
            problems.append(f"{role}: {name} has the labels {sorted(samples[name] - {'le'})}, documented are {sorted(labels)}")
    for name in sorted(samples.keys() - known):
        problems.append(f"docs/metrics.md does not have {name} for a {role}")
    if problems:
        sys.exit("\n".join(problems))


main(sys.argv[1])
