"""The packages that the Dockerfile installs into each image are those whose libraries its executable links: one that is missing
keeps a service from starting, one too many is to be kept up to date for nothing.

    scripts/lint/images.py .build/debug
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What is loaded at run time or by other means than the linker's, and what only a statically linked build has.
DATA = {"ca-certificates", "tzdata", "libsasl2-modules", "libsasl2-modules-gssapi-mit", "krb5-user"}
STATIC = {"libgcc-s1", "libstdc++6"}
# In every image, of the base.
BASE = {"libc6"}


def installed(dockerfile):
    """The packages of each stage, those of the stages below it included."""
    stages = {}
    for block in re.split(r"^(?=FROM )", dockerfile.replace("\\\n", " "), flags=re.M)[1:]:
        head = re.match(r"FROM (\S+) AS (\S+)", block)
        names = set(stages.get(head[1], set()))
        for line in re.findall(r"apt-get install (.*?)(?:&&|$)", block, flags=re.M):
            names |= {word for word in line.split() if not word.startswith("-")}
        stages[head[2]] = names
    return stages


def package_of(library):
    """The Debian package that a shared library is in; `None` for one of the Swift installation, which is linked statically."""
    for path in [library, "/usr" + library, library.removeprefix("/usr")]:
        result = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
        if result.returncode == 0:
            return result.stdout.split(":")[0]
    return None


def linked(program):
    """The packages of the libraries that a program names itself; what those need, apt brings."""
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\]", subprocess.run(["readelf", "-d", program], capture_output=True, text=True).stdout)
    paths = dict(re.findall(r"(\S+) => (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout))
    return {package for name in needed if name in paths and (package := package_of(paths[name]))}


def main(build):
    stages = installed((ROOT / "Dockerfile").read_text())
    problems = []
    for stage, program in [("coordinator", "escapement-coordinator"), ("ticker", "escapement-ticker"),
                           ("dispatcher", "escapement-dispatcher"), ("cli", "escapement")]:
        needs = linked(build / program) - BASE
        for package in sorted(needs - stages[stage]):
            problems.append(f"Dockerfile, {stage}: {program} links {package}, which is not installed")
        for package in sorted(stages[stage] - needs - DATA - STATIC):
            problems.append(f"Dockerfile, {stage}: {package} is installed, and {program} does not link it")
    if problems:
        sys.exit("\n".join(problems))


main(pathlib.Path(sys.argv[1]))
