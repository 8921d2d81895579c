"""The services accept the settings that compose and Kubernetes give them: no unknown variable, nothing that contradicts.

Takes the compose file and rendered Kubernetes documents, and last the folder of the built services.
"""
import pathlib
import subprocess
import sys
import tempfile

import yaml

ROLES = ["coordinator", "ticker", "dispatcher"]


def settings(path):
    """(label, role, environment) of every service in a file."""
    for document in yaml.safe_load_all(pathlib.Path(path).read_text()):
        if "services" in document:
            for role in ROLES:
                yield path, role, document["services"][role]["environment"]
    documents = list(yaml.safe_load_all(pathlib.Path(path).read_text()))
    maps = {document["metadata"]["name"]: document.get("data") for document in documents if document.get("kind") == "ConfigMap"}
    for document in documents:
        container = (document.get("spec") or {}).get("template", {}).get("spec", {}).get("containers", [{}])[0]
        if document.get("kind") != "Deployment" or container.get("name") not in ROLES:
            continue
        # What Kubernetes adds to every pod.
        environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        for source in container.get("envFrom", []):
            environment.update(maps[source["configMapRef"]["name"]])
        for variable in container.get("env", []):
            environment[variable["name"]] = variable.get("value", "pod-0")
        yield path, container["name"], environment


def main(paths, binaries):
    problems = []
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write("secret")
        secret.flush()
        for path in paths:
            for label, role, environment in settings(path):
                given = {
                    name: secret.name if str(value).startswith("/run/secrets/") else str(value).replace("$(POD_IP)", "10.0.0.1")
                    for name, value in environment.items()
                }
                result = subprocess.run(
                    [binaries / f"escapement-{role}", "--print-config"], env=given, capture_output=True, text=True)
                if result.returncode != 0:
                    problems.append(f"{pathlib.Path(label).name}, {role}:\n{result.stderr}")
    if problems:
        sys.exit("\n".join(problems))


main(sys.argv[1:-1], pathlib.Path(sys.argv[-1]))
