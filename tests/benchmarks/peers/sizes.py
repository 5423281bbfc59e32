"""Installed size of packages with everything that they require: PYTHON -m peers.sizes torch keras ...

Sums the files that each distribution of the dependency closure records, in the running interpreter.
"""

import contextlib
import importlib.metadata as M
import json
import os
import re
import sys


def closure(name, seen):
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    try:
        dist = M.distribution(name)
    except M.PackageNotFoundError:
        return
    seen[key] = dist
    for r in dist.requires or []:
        if "extra ==" in r:
            continue
        marker = r.split(";", 1)[1] if ";" in r else ""
        if "win32" in marker or "Windows" in marker or "darwin" in marker.lower():
            continue
        closure(re.match(r"[A-Za-z0-9_.-]+", r).group(0), seen)


def mb(dist):
    n = 0
    for f in dist.files or []:
        with contextlib.suppress(OSError):
            n += os.path.getsize(dist.locate_file(f))
    return n / 1e6


def main(names):
    out = {}
    for name in names:
        seen = {}
        closure(name, seen)
        if not seen:
            continue
        sizes = {k: round(mb(d), 1) for k, d in seen.items()}
        own = re.sub(r"[-_.]+", "-", name).lower()
        out[name] = {
            "version": seen[own].version,
            "own_mb": sizes[own],
            "with_deps_mb": round(sum(sizes.values()), 1),
            "packages": len(sizes),
            "largest": dict(sorted(sizes.items(), key=lambda i: -i[1])[:5]),
        }
    return out


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:]), indent=1))
