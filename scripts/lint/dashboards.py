"""Every expression of every dashboard is PromQL over metrics that exist; panels have ids, datasources are a variable."""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(rules_path):
    known = set(re.findall(r"`((?:escapement|process|http)_[a-z_]+)`", (ROOT / "docs/metrics.md").read_text()))
    rules = (ROOT / "monitoring/prometheus/alerts.yaml").read_text()
    known |= set(re.findall(r"record: (\S+)", rules))
    problems, lines = [], ["groups:", "  - name: panels", "    rules:"]

    def check_names(place, text):
        for name in re.findall(r"\b((?:escapement|process|http)[_:][a-z0-9_:]+)", text):
            if name not in known and re.sub(r"_(bucket|count|sum)$", "", name) not in known:
                problems.append(f"{place}: there is no metric {name}")

    for path in sorted((ROOT / "monitoring/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        if len(set(ids)) != len(ids):
            problems.append(f"{path.name}: two panels have one id")
        for panel in board["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["uid"] != "${datasource}":
                    problems.append(f"{path.name}: '{panel['title']}' names a datasource")
                expression = target["expr"].replace("$__rate_interval", "5m")
                check_names(f"{path.name}: '{panel['title']}'", expression)
                lines += [f"      - record: panel:{len(lines)}", f"        expr: {json.dumps(expression)}"]
    check_names("alerts.yaml", "\n".join(re.findall(r"expr:(?:.|\n)*?(?=\n\s+(?:for|labels|- |$))", rules)))
    pathlib.Path(rules_path).write_text("\n".join(lines) + "\n")
    result = subprocess.run(["promtool", "check", "rules", rules_path], capture_output=True, text=True)
    if result.returncode != 0:
        problems.append(result.stdout + result.stderr)
    if problems:
        sys.exit("\n".join(problems))


main(sys.argv[1])
