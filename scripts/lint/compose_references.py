"""Every service, volume, secret and profile that a compose file names exists, and the file keeps our own rules."""
import pathlib
import sys

import yaml


def names(value):
    """The names in a list or a mapping of references."""
    if isinstance(value, dict):
        return list(value)
    return [item["source"] if isinstance(item, dict) else item for item in value or []]


def main(path):
    document = yaml.safe_load(pathlib.Path(path).read_text())
    services = document["services"]
    folder = pathlib.Path(path).parent
    problems = []

    def need(condition, text):
        if not condition:
            problems.append(text)

    used_secrets = set()
    for name, service in services.items():
        for other in names(service.get("depends_on")):
            need(other in services, f"{name} depends on '{other}', which does not exist")
        conditions = service.get("depends_on") or {}
        for other, condition in conditions.items() if isinstance(conditions, dict) else []:
            if condition.get("condition") == "service_healthy":
                need("healthcheck" in services.get(other, {}), f"{name} waits for the health of '{other}', which has no check")
        for secret in names(service.get("secrets")):
            used_secrets.add(secret)
            need(secret in document.get("secrets", {}), f"{name} uses the secret '{secret}', which does not exist")
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith((".", "/")):
                need((folder / source).exists(), f"{name} mounts '{source}', which does not exist")
            else:
                need(source in document.get("volumes", {}), f"{name} uses the volume '{source}', which does not exist")
        for port in service.get("ports", []):
            need(str(port).startswith("127.0.0.1:"), f"{name} publishes {port} beyond the loopback address")
        need("mem_limit" in service, f"{name} has no mem_limit")
        need("container_name" not in service, f"{name} has a container_name and cannot be scaled")
        need("latest" not in service["image"] and ":" in service["image"], f"{name} has no pinned image")
        environment = service.get("environment") or {}
        for key, value in environment.items():
            if key.endswith("_FILE") and str(value).startswith("/run/secrets/"):
                targets = [s["target"] if isinstance(s, dict) else s for s in service.get("secrets", [])]
                need(value.rsplit("/", 1)[1] in targets, f"{name}: {key} names {value}, which is not among its secrets")
        if "build" in service:
            need(service.get("read_only") is True, f"{name} is ours and has a writable root file system")
            need(service.get("cap_drop") == ["ALL"], f"{name} is ours and keeps capabilities")
    for secret in document.get("secrets", {}):
        need(secret in used_secrets, f"the secret '{secret}' is used by nobody")
    if problems:
        sys.exit("\n".join(problems))


main(sys.argv[1])
