#!/usr/bin/env python3
"""Writes what deploy/ has from elsewhere: the CRDs from `fmesh crds`, the kustomize base from the chart (by helm).

tools/make_deploy.py [--build DIR] [--into DIR] [--crds]   --crds: only them, which needs no helm
Exit code 77 where helm can't be compiled (no Go).
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = Path("chart/fmesh-operator")
CRDS = {"Function": "functions", "Source": "sources", "Sink": "sinks", "FunctionMesh": "functionmeshes", "BackendConfig": "backendconfigs"}
NAMESPACE = "function-mesh-system"
# What helm says of itself, and a release name that only helm has a use for.
OF_HELM = re.compile(r"^(# Source: .*| +helm\.sh/chart: .*| +app\.kubernetes\.io/managed-by: Helm)\n", re.MULTILINE)
HEAD = "# Written by tools/make_deploy.py from the chart with its default values.\n"


def write_crds(build, into):
    folder = into / CHART / "files" / "crds"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, name in CRDS.items():
        done = subprocess.run([build / "fmesh", "crds", "--kind", kind], capture_output=True, text=True, check=True)
        (folder / f"{name}.yaml").write_text(done.stdout, encoding="utf-8")


def write_kustomize(into):
    sys.path.insert(0, str(ROOT / "testbed" / "kube"))
    import program

    try:
        helm = program.helm()
    except program.Unavailable as reason:
        print(f"make_deploy: {reason}", file=sys.stderr)
        return 77
    done = subprocess.run([helm, "template", "function-mesh", ROOT / "deploy" / CHART, "--namespace", NAMESPACE, "--set", "crds.install=false"],
                          capture_output=True, text=True, check=True)
    (into / "kustomize").mkdir(parents=True, exist_ok=True)
    (into / "kustomize" / "operator.yaml").write_text(HEAD + OF_HELM.sub("", done.stdout), encoding="utf-8")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--into", type=Path, default=ROOT / "deploy")
    parser.add_argument("--crds", action="store_true")
    arguments = parser.parse_args()
    write_crds(arguments.build, arguments.into)
    return 0 if arguments.crds else write_kustomize(arguments.into)


if __name__ == "__main__":
    sys.exit(main())
