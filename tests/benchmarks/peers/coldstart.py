"""Wall time of whole processes: imports, and a first epoch on the digits data (1,797 samples, 8x8).

python -m peers.coldstart --cpus 0 --reps 5 --out cold.json [--python NAME=interpreter]

Every figure is a fresh process with the files already in the page cache; the first repetition is dropped.
cpu_median_s is the process's CPU time: compare that where other processes share the core.
The digits are read from a .npz made here (with scikit-learn), so that no script pays for importing it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers.measure import thread_env

HERE = os.path.dirname(os.path.abspath(__file__))
J, TT, TF = ({"KERAS_BACKEND": b} for b in ("jax", "torch", "tensorflow"))
IMPORTS = {  # name: (statement, environment)
    "python": ("pass", {}),
    "numpy": ("import numpy", {}),
    "torch": ("import torch", {}),
    "jax": ("import jax", {}),
    "jax+optax": ("import jax, optax", {}),
    "keras_jax": ("import keras", J),
    "keras_torch": ("import keras", TT),
    "keras_tf": ("import keras", TF),
    "tensorflow": ("import tensorflow", {}),
    "onnxruntime": ("import onnxruntime", {}),
    "onnx": ("import onnx", {}),
    "tinygrad": ("import tinygrad", {}),
    "sklearn": ("from sklearn.neural_network import MLPClassifier", {}),
    "optuna": ("import optuna", {}),
    "autokeras": ("import autokeras", TT),
    "ludwig": ("import ludwig.api", {}),
}
HELLO = {
    "torch_eager": ("torch_eager.py", {}),
    "jax_jit": ("jax_jit.py", {}),
    "keras_jax": ("keras_any.py", J),
    "keras_torch": ("keras_any.py", TT),
    "keras_tf": ("keras_any.py", TF),
    "sklearn": ("sklearn_mlp.py", {}),
    "tinygrad": ("tinygrad_jit.py", {}),
}


def timed(cmd, env, cpus, limit=120):
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None

    def used():
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        return r.ru_utime + r.ru_stime

    t, c = time.perf_counter(), used()
    p = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=limit, preexec_fn=pin)
    return time.perf_counter() - t, used() - c, p


def series(cmd, extra, threads, cpus, reps):
    env = dict(
        os.environ,
        JAX_PLATFORMS="cpu",
        TF_CPP_MIN_LOG_LEVEL="3",
        CUDA_VISIBLE_DEVICES="",
        PARALLEL="0",
        NUM_CPU_THREADS=str(threads),
        **thread_env(threads),
    )
    env.update(extra)
    try:
        out = [timed(cmd, env, cpus) for _ in range(reps + 1)]
    except subprocess.TimeoutExpired:
        return {"error": "no end within 120 s"}
    if out[-1][-1].returncode:
        return {"error": (out[-1][-1].stderr.strip().splitlines() or ["?"])[-1][:300]}
    ts, cs = [o[0] for o in out[1:]], [o[1] for o in out[1:]]
    return {
        "median_s": round(statistics.median(ts), 3),
        "min_s": round(min(ts), 3),
        "first_s": round(out[0][0], 3),
        "cpu_median_s": round(statistics.median(cs), 3),
        "reps": reps,
        "says": out[-1][-1].stdout.strip()[-60:],
    }


def main():
    ap = argparse.ArgumentParser(prog="python -m peers.coldstart")
    ap.add_argument("--cpus", default="")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--reps", type=int, default=5)
    ap.add_argument("--out")
    ap.add_argument("--only", default="")
    ap.add_argument("--python", action="append", default=[])
    a = ap.parse_args()
    pythons = dict(p.split("=", 1) for p in a.python)
    cpus = [int(c) for c in a.cpus.split(",")] if a.cpus else None
    res = {"import": {}, "hello": {}}
    only = set(a.only.split(",")) - {""}
    for name, (stmt, env) in IMPORTS.items():
        if only and name not in only:
            continue
        res["import"][name] = series([pythons.get(name, sys.executable), "-c", stmt], env, a.threads, cpus, a.reps)
        print("import", name, res["import"][name], file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "digits.npz")
        code = (
            "import numpy as n; from sklearn.datasets import load_digits as l; x, y = l(return_X_y=True); "
            "n.savez(%r, x=(x / 16).astype('float32'), y=y.astype('int32'))" % path
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        for name, (script, env) in HELLO.items():
            if only and name not in only:
                continue
            cmd = [pythons.get(name, sys.executable), os.path.join(HERE, "hello", script), path, str(a.threads)]
            res["hello"][name] = series(cmd, env, a.threads, cpus, a.reps)
            print("hello ", name, res["hello"][name], file=sys.stderr, flush=True)
    if a.out:
        Path(a.out).write_text(json.dumps(res, indent=1))
    else:
        print(json.dumps(res))


if __name__ == "__main__":
    main()
