"""python -m peers --framework NAME --workload NAME --mode train|infer --threads N

Prints one JSON line. An error or a skip is a JSON line too ("error" or "skip"), with exit status 1 or 0.
"""

import argparse
import json
import os
import pkgutil
import sys
import traceback

from peers import adapters
from peers.adapters.base import Skip
from peers.workloads import WORKLOADS


def main(argv=None):
    ap = argparse.ArgumentParser(prog="python -m peers")
    ap.add_argument("--framework")
    ap.add_argument("--workload", choices=list(WORKLOADS))
    ap.add_argument("--mode", choices=["train", "infer"], default="train")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--cpus", help="pin to these cores, e.g. 0 or 0,1")
    ap.add_argument("--seconds", type=float, default=10.0, help="time for the timed steps")
    ap.add_argument("--batch", type=int, help="another batch size than the workload's")
    ap.add_argument("--no-fit", action="store_true", help="do not time the framework's own fit loop")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args(argv)
    if a.list or not (a.framework and a.workload):
        print(
            "frameworks:",
            *(
                m.name
                for m in pkgutil.iter_modules(adapters.__path__)
                if m.name != "base" and not m.name.startswith("_")
            ),
        )
        print("workloads: ", *WORKLOADS)
        return 0
    cpus = sorted(int(c) for c in a.cpus.split(",")) if a.cpus else None
    if cpus:
        os.sched_setaffinity(0, cpus)
    real, sys.stdout = sys.stdout, sys.stderr  # a framework's chatter must not mix with the JSON line
    base = {"framework": a.framework, "workload": a.workload, "mode": a.mode, "threads": a.threads, "batch": a.batch}
    rc = 0
    try:
        from peers.measure import run

        res = run(a.framework, a.workload, a.mode, a.threads, cpus, a.seconds, a.batch, not a.no_fit)
    except Skip as e:
        res = dict(base, skip=str(e))
    except Exception as e:
        traceback.print_exc()
        res = dict(base, error="%s: %s" % (type(e).__name__, str(e)[:400]))
        rc = 1
    print(json.dumps(res), file=real, flush=True)
    return rc


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # some frameworks hang or crash in their own exit handlers
