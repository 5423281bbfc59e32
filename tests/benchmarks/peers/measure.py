"""Runs one framework on one workload in this process and returns a dict of measurements."""

import importlib
import os
import resource
import statistics
import time


def thread_env(threads):
    t = str(threads)
    return {
        k: t
        for k in (
            "OMP_NUM_THREADS",
            "MKL_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
        )
    }


def rss_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1)


def cpu_s():
    """CPU seconds of this process and of its ended children (a compiler, say)."""
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + r.ru_utime + r.ru_stime


def timed_loop(step, seconds, min_steps=10, max_steps=3000):
    """[(wall, cpu)] of single steps until `seconds` have passed and `min_steps` are done; gives up at 3 * seconds."""
    out, clock, cpu = [], time.perf_counter, time.process_time
    start = clock()
    while True:
        c = cpu()
        a = clock()
        step()
        b = clock()
        out.append((b - a, cpu() - c))
        spent = b - start
        if (spent >= seconds and len(out) >= min_steps) or spent >= 3 * seconds or len(out) >= max_steps:
            return out


def warm_up(step, seconds):
    start, n = time.perf_counter(), 0
    while n < 2 or (time.perf_counter() - start < seconds and n < 50):
        step()
        n += 1


def summarise(times, batch, one_core):
    """Wall and CPU seconds of a step. step_s is the figure to compare: the wall median, or on one core the CPU
    median where that is less, since another process on that core then took the difference."""
    wall, cpu = sorted(t[0] for t in times), sorted(t[1] for t in times)
    med, cmed = statistics.median(wall), statistics.median(cpu)
    step = min(med, cmed) if one_core else med
    return {
        "median_s": med,
        "min_s": wall[0],
        "p90_s": wall[min(len(wall) - 1, int(len(wall) * 0.9))],
        "cpu_median_s": cmed,
        "step_s": step,
        "steps": len(wall),
        "samples_per_s": batch / step,
        "cpu_share": round(sum(cpu) / sum(wall), 3),
    }


def run(framework, workload, mode, threads=1, cpus=None, seconds=10.0, batch=None, fit=True):
    res = {"framework": framework, "workload": workload, "mode": mode, "threads": threads, "cpus": cpus}
    if cpus:
        os.sched_setaffinity(0, cpus)
    mod = importlib.import_module("peers.adapters." + framework)  # must import no framework at module level
    for k, v in dict(thread_env(threads), **mod.Adapter.env(threads)).items():
        os.environ[k] = v
    from peers import params as P
    from peers.workloads import WORKLOADS

    w = WORKLOADS[workload]
    if mode == "train" and not w["train"]:
        raise mod.Skip("inference only")
    batch = batch or (w["batch"] if mode == "train" else w["infer_batches"][0])
    res["batch"] = batch
    weights = P.workload_params(w)
    x, y = P.batch_data(w, batch)

    t, c = time.perf_counter(), cpu_s()
    ad = mod.Adapter(threads)
    res["import_s"], res["import_cpu_s"] = time.perf_counter() - t, cpu_s() - c
    res["import_rss_mb"] = rss_mb()
    t = time.perf_counter()
    ad.build(w, weights)
    (ad.prepare_train(x, y) if mode == "train" else ad.prepare_infer(x))
    res["build_s"] = time.perf_counter() - t
    res["params"] = int(ad.param_count())
    res["canonical_params"] = P.count(weights)

    if mode == "train":
        t, c = time.perf_counter(), cpu_s()
        losses = [float(ad.train_step())]
        res["first_call_s"], res["first_call_cpu_s"] = time.perf_counter() - t, cpu_s() - c
        losses += [float(ad.train_step()) for _ in range(5)]
        res["first_6_calls_cpu_s"] = cpu_s() - c  # a JIT may compile on its second or third call
        res["losses"] = [round(v, 6) for v in losses]
        res["loss_after_5"] = losses[5]
        step = ad.train_step
    else:
        t, c = time.perf_counter(), cpu_s()
        out = ad.infer_step()
        res["first_call_s"], res["first_call_cpu_s"] = time.perf_counter() - t, cpu_s() - c
        res["out_head"] = [round(float(v), 6) for v in out.reshape(-1)[:3]]
        res["out_abs_mean"] = float(abs(out).mean())
        step = ad.infer_step
    warm_up(step, min(0.5, seconds / 5))
    one_core = len(os.sched_getaffinity(0)) == 1
    res.update(summarise(timed_loop(step, seconds), batch, one_core))
    res["load1"] = os.getloadavg()[0]
    if mode == "train" and fit:
        try:
            n = max(5, min(300, int(seconds / 2 / res["step_s"])))
            ad.fit_epoch(2)
            t, c = time.perf_counter(), time.process_time()
            ad.fit_epoch(n)
            t, c = (time.perf_counter() - t) / n, (time.process_time() - c) / n
            res["fit_wall_step_s"], res["fit_step_s"] = t, (min(t, c) if one_core else t)
            res["fit_steps"] = n
        except NotImplementedError:
            pass
    res["peak_rss_mb"] = rss_mb()
    res["versions"] = ad.versions
    res["notes"] = ad.notes
    return res
