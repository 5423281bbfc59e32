"""Runs a matrix of frameworks x workloads, interleaved, and writes one JSON line a run.

python -m peers.matrix --out results.jsonl --mode train,infer --threads 1 --cpus 0 \
    --frameworks torch_eager,jax_jit --workloads mlp,lstm --seconds 4 --rounds 2 \
    --python keras_tf=/path/to/other/venv/bin/python

Order: for each round, for each workload, every framework in turn, each in a process of its own, so that
a slow spell of the machine falls on all frameworks of a workload alike. A run already in --out is not
repeated (same framework, workload, mode, threads, cpus, batch and round), so a broken-off matrix goes on.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from peers.report import table
from peers.workloads import MAIN, WORKLOADS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def one(python, fw, w, mode, threads, cpus, seconds, batch, limit, fit):
    cmd = [
        python,
        "-m",
        "peers",
        "--framework",
        fw,
        "--workload",
        w,
        "--mode",
        mode,
        "--threads",
        str(threads),
        "--seconds",
        str(seconds),
    ]
    cmd += ["--cpus", cpus] if cpus else []
    cmd += ["--batch", str(batch)] if batch else []
    cmd += [] if fit else ["--no-fit"]
    p = subprocess.Popen(
        cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    fail = {"framework": fw, "workload": w, "mode": mode, "threads": threads, "batch": batch}
    try:
        out, err = p.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)  # the group of the process started just above, and no other
        p.communicate()
        return dict(fail, error="no result within %d s" % limit)
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return dict(fail, error="exit %s: %s" % (p.returncode, " ".join(err.split())[-300:]))


def main(argv=None):
    ap = argparse.ArgumentParser(prog="python -m peers.matrix")
    ap.add_argument("--out", required=True)
    ap.add_argument("--mode", default="train")
    ap.add_argument("--frameworks", default="torch_eager,torch_tuned,torch_compile,jax_jit,keras_jax,keras_torch")
    ap.add_argument("--workloads", default=",".join(w["name"] for w in MAIN))
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--cpus", default="")
    ap.add_argument("--seconds", type=float, default=4.0)
    ap.add_argument("--rounds", type=int, default=1)
    ap.add_argument("--limit", type=float, default=180.0, help="seconds for one run, all in all")
    ap.add_argument("--deadline", type=float, default=0, help="stop starting runs after this many seconds")
    ap.add_argument("--python", action="append", default=[], help="FRAMEWORK=interpreter, for another venv")
    ap.add_argument("--no-fit", action="store_true")
    a = ap.parse_args(argv)
    pythons = dict(p.split("=", 1) for p in a.python)
    done = set()

    def key(r, rnd):
        return (r["framework"], r["workload"], r["mode"], r["threads"], a.cpus, r.get("batch"), rnd)

    if os.path.exists(a.out):
        for line in Path(a.out).read_text().splitlines():
            r = json.loads(line)
            done.add(tuple(r["key"]))
    start, out = time.time(), Path(a.out).open("a")  # noqa: SIM115 (open to the end of the run)
    for rnd in range(a.rounds):
        for mode in a.mode.split(","):
            for w in a.workloads.split(","):
                spec = WORKLOADS[w]
                if mode == "train" and not spec["train"]:
                    continue
                for batch in [None] if mode == "train" else spec["infer_batches"]:
                    for fw in a.frameworks.split(","):
                        if mode == "train" and fw == "onnxruntime":
                            continue
                        b = batch or spec["batch"]
                        k = key({"framework": fw, "workload": w, "mode": mode, "threads": a.threads, "batch": b}, rnd)
                        if k in done:
                            continue
                        if a.deadline and time.time() - start > a.deadline:
                            print("deadline reached", file=sys.stderr)
                            out.close()
                            print(table(a.out))
                            return
                        t = time.time()
                        r = one(
                            pythons.get(fw, sys.executable),
                            fw,
                            w,
                            mode,
                            a.threads,
                            a.cpus,
                            a.seconds,
                            batch,
                            a.limit,
                            not a.no_fit,
                        )
                        r.update(key=list(k), round=rnd, batch=b, wall_s=round(time.time() - t, 1))
                        out.write(json.dumps(r) + "\n")
                        out.flush()
                        print(
                            "%-6s %-16s b%-5s %-14s %s  [%.0f s]"
                            % (
                                mode,
                                w,
                                b,
                                fw,
                                r.get("error")
                                or r.get("skip")
                                or "%.3f ms (core share %.2f)" % (1e3 * r["step_s"], r["cpu_share"]),
                                r["wall_s"],
                            ),
                            file=sys.stderr,
                            flush=True,
                        )
    out.close()
    print(table(a.out))


if __name__ == "__main__":
    main()
