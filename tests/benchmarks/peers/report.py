"""python -m peers.report results.jsonl [--base torch_eager]: tables in Markdown from a matrix's JSON lines."""

import argparse
import json
from pathlib import Path


def load(path):
    """{(mode, threads, workload, batch): {framework: result}}: of several rounds the one with the least step, with the
    least fit step and the longest first call (the coldest compiler cache) of all of them."""
    out = {}
    for line in Path(path).read_text().splitlines():
        r = json.loads(line)
        cell = out.setdefault((r["mode"], r["threads"], r["workload"], r["batch"]), {})
        old = cell.get(r["framework"])
        if old is None or "step_s" not in old:
            cell[r["framework"]] = r
        elif "step_s" in r:
            new = dict(r if r["step_s"] < old["step_s"] else old)
            fits = [x["fit_step_s"] for x in (old, r) if x.get("fit_step_s")]
            if fits:
                new["fit_step_s"] = min(fits)
            for k in ("first_call_s", "first_call_cpu_s"):
                new[k] = max(old[k], r[k])
            cell[r["framework"]] = new
    return out


def best_step(r):
    """The framework's better loop: single steps, or its own fit loop where that was timed."""
    return min(r["step_s"], r.get("fit_step_s") or r["step_s"])


def _ms(s):
    v = 1e3 * s
    return "%.3f" % v if v < 1 else "%.2f" % v if v < 100 else "%.0f" % v


def table(path, base=None, field="step_s"):
    data = load(path)
    fws = []
    for cell in data.values():
        fws += [f for f in cell if f not in fws]
    out = []
    for group in sorted({k[:2] for k in data}, reverse=True):
        out += [
            "",
            "### %s, %d thread(s): median step in ms (ratio to the fastest)" % group,
            "",
            "| workload | batch | " + " | ".join(fws) + " | fastest |",
            "|---" * (len(fws) + 3) + "|",
        ]
        for k, cell in data.items():
            if k[:2] != group:
                continue
            ok = {f: r[field] for f, r in cell.items() if r.get(field)}
            ref = ok.get(base) or (min(ok.values()) if ok else None)
            row = []
            for f in fws:
                r = cell.get(f)
                row.append(
                    ""
                    if r is None
                    else "%s (%.2f)" % (_ms(ok[f]), ok[f] / ref)
                    if f in ok
                    else "skip"
                    if "skip" in r
                    else "error"
                )
            out.append("| %s | %s | %s | %s |" % (k[2], k[3], " | ".join(row), min(ok, key=ok.get) if ok else ""))
    return "\n".join(out)


def field_table(path, mode, threads, field, fmt="%.2f", title=None):
    data = load(path)
    fws = []
    for cell in data.values():
        fws += [f for f in cell if f not in fws]
    out = [
        "",
        "### " + (title or field),
        "",
        "| workload | batch | " + " | ".join(fws) + " |",
        "|---" * (len(fws) + 2) + "|",
    ]
    for k, cell in data.items():
        if k[:2] == (mode, threads):
            out.append(
                "| %s | %s | %s |"
                % (
                    k[2],
                    k[3],
                    " | ".join(
                        fmt % cell[f][field] if f in cell and cell[f].get(field) is not None else "" for f in fws
                    ),
                )
            )
    return "\n".join(out)


def errors(path):
    out = []
    for k, cell in load(path).items():
        for f, r in cell.items():
            if "error" in r or "skip" in r:
                out.append(
                    "- %s %s (batch %s) on %s: %s" % (k[0], k[2], k[3], f, r.get("error") or "skipped: " + r["skip"])
                )
    return "\n".join(out)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("path")
    ap.add_argument("--base")
    a = ap.parse_args()
    print(table(a.path, a.base))
    modes = {(k[0], k[1]) for k in load(a.path)}
    for m, t in sorted(modes, reverse=True):
        print(
            field_table(
                a.path,
                m,
                t,
                "first_call_cpu_s",
                title="%s, %d thread(s): first call (CPU s, compiler included)" % (m, t),
            )
        )
        if m == "train":
            print(field_table(a.path, m, t, "fit_step_s", "%.5f", "train: step of the framework's own fit loop (s)"))
            print(field_table(a.path, m, t, "loss_after_5", "%.5f", "train: loss after 5 steps"))
            print(field_table(a.path, m, t, "params", "%d", "trainable parameters"))
        print(field_table(a.path, m, t, "peak_rss_mb", "%.0f", "%s, %d thread(s): peak RSS (MB)" % (m, t)))
    print("\n### Errors and skips\n\n" + errors(a.path))
