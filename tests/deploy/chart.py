#!/usr/bin/env python3
"""The chart as helm renders it. tests/deploy/rendered holds two renderings, so that the tests can look at the chart where
there is no helm; their first line is the digest of the chart they were made from.

usage: chart.py --write    render anew, after a change of the chart (needs helm)
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import deployed

HERE = pathlib.Path(__file__).resolve().parent
SHOP = HERE / "shop-chart"
# What is rendered: the chart and the values for it.
RENDERINGS = {
    "standalone": (deployed.CHART, HERE / "standalone.yaml"),
    "sidecar": (SHOP, SHOP / "values.yaml"),
}


# One version for all renderings, whatever helm was built for.
KUBERNETES = "--kube-version=1.31.0"


def helm():
    """The program; None where there is none."""
    return os.environ.get("HELM") or shutil.which("helm")


def run(*arguments):
    """Helm's output, in one piece, and whether it was content."""
    done = subprocess.run(
        [helm(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode == 0, done.stdout, done.stderr


def template(chart, values, *options):
    fine, out, err = run("template", "shop", chart, "--namespace=shop", KUBERNETES, "--values", values, *options)
    if not fine:
        raise RuntimeError(err)
    return out


def digest():
    """Of everything that a rendering is made from, but the large files it is told to leave out."""
    sha = hashlib.sha256()
    sources = list(deployed.CHART.rglob("*")) + list(SHOP.rglob("*")) + [HERE / "standalone.yaml"]
    for path in sorted(sources):
        if path.is_file() and "files" not in path.parts:
            sha.update(f"{path.relative_to(deployed.ROOT)}\n".encode() + path.read_bytes())
    return sha.hexdigest()


def rendered(name):
    """A rendering that was committed: the digest in its first line, and the text below."""
    first, text = (HERE / f"rendered/{name}.yaml").read_text(encoding="utf-8").split("\n", 1)
    return first.removeprefix("# of the chart "), text


def main():
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    for name, (chart, values) in RENDERINGS.items():
        text = f"# of the chart {digest()}\n{template(chart, values)}"
        (HERE / f"rendered/{name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
