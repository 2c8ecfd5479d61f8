"""Findings of `diagnose` for deliberately broken networks and for healthy ones.

The thresholds were set on the cases of ``--group tuning``. Results are reported for ``--group
report``, which has other tables. A fault counts as found if its kind is among the findings. The
network is then fitted again with the parameters of all findings, and with a scaler if a finding
suggests one in its text. The fault counts as repaired if its kind is no longer found and the test
score is at least 90 % of the healthy network's. A finding for a healthy network is a false alarm of
its kind. Half of the healthy networks are trained on 25 to 120 samples, where a few steps are often
enough.
"""

import pickle
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter

from joblib import Parallel, delayed

from benchmarks._broken import HEALTHY, KINDS, draw, repaired, train
from benchmarks._page import markdown_table, percent
from benchmarks._records import save
from sknn_adam.inspection import diagnose


def add_arguments(parser):
    parser.add_argument("--group", choices=["tuning", "report"], default="report")
    parser.add_argument(
        "--broken", type=int, default=15, help="number of broken networks of each kind"
    )
    parser.add_argument(
        "--healthy",
        type=int,
        default=100,
        help="number of healthy networks of each of the two kinds",
    )
    parser.add_argument(
        "--seed", type=int, default=1000, help="seed of the first case of each kind"
    )
    parser.add_argument(
        "--only", default="", help="comma-separated kinds of broken or healthy networks"
    )
    parser.add_argument("--cases", default="", help="pickle file that keeps the fitted cases")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="one network of each kind, no record")


def cases(args):
    """Return the fitted cases. Kinds that are already in the file are not drawn again."""
    file, fitted = Path(args.cases), []
    if args.cases and file.exists():
        fitted = pickle.loads(file.read_bytes())
    drawn = {case.kind for case in fitted}
    for kind in args.only.split(",") if args.only else [*KINDS, *HEALTHY]:
        if kind in drawn:
            continue
        number = args.healthy if kind in HEALTHY else args.broken
        fitted += [draw(kind, args.group, args.seed + i) for i in range(number)]
        print(f"{kind}: {number} drawn", flush=True)
        if args.cases:
            file.write_bytes(pickle.dumps(fitted))
    return fitted


def findings_of(case, model):
    """Return the findings, and the time in seconds of a diagnosis without samples."""
    start = perf_counter()
    findings = diagnose(model)
    seconds = perf_counter() - start
    if case.given:
        findings = diagnose(model, *case.test)
    return findings, seconds


def evaluate(case):
    """Return the findings of a case, and the score and findings after its repair."""
    findings, seconds = findings_of(case, case.model)
    row = {
        "kind": case.kind,
        "table": case.table,
        "found": [finding.kind for finding in findings],
        "score": round(case.score, 3),
        "healthy": round(case.reference, 3),
        "seconds": seconds,
    }
    if case.kind in HEALTHY:
        return row
    model = repaired(case.model, findings)
    row["cured"] = round(train(model, case), 3)
    row["left"] = [finding.kind for finding in findings_of(case, model)[0]]
    row["params"] = {name: repr(value) for name, value in findings.params.items()}
    return row


def table(rows):
    """Return the recall, false alarms and repairs of each kind."""
    healthy = [row for row in rows if row["kind"] in HEALTHY]
    alarms = Counter(kind for row in healthy for kind in row["found"])
    by_kind = {}
    for kind in KINDS:
        own = [row for row in rows if row["kind"] == kind]
        other = [row for row in rows if row["kind"] not in (kind, *HEALTHY)]
        gone = [row for row in own if kind not in row["left"]]
        close = [row for row in gone if row["cured"] >= 0.9 * row["healthy"]]
        by_kind[kind] = {
            "broken": len(own),
            "recall": sum(kind in row["found"] for row in own) / max(1, len(own)),
            "false_alarms": alarms[kind] / max(1, len(healthy)),
            "named_beside_others": sum(kind in row["found"] for row in other) / max(1, len(other)),
            "gone": len(gone) / max(1, len(own)),
            "repaired": len(close) / max(1, len(own)),
        }
    return by_kind


def failures(rows):
    """Return the broken cases that were missed or not repaired, and the false alarms."""
    failed = []
    for row in rows:
        if row["kind"] in HEALTHY:
            wrong = bool(row["found"])
        else:
            close = row["cured"] >= 0.9 * row["healthy"]
            wrong = row["kind"] not in row["found"] or row["kind"] in row["left"] or not close
        if wrong:
            failed.append({name: row[name] for name in row if name != "seconds"})
    return failed


def run(args):
    if args.smoke:
        args.broken = args.healthy = 1
    drawn = cases(args)
    rows = Parallel(n_jobs=args.jobs)(delayed(evaluate)(case) for case in drawn)
    by_kind = table(rows)
    broken = [row for row in rows if row["kind"] not in HEALTHY]
    healthy = [row for row in rows if row["kind"] in HEALTHY]
    good = [
        row["kind"] not in row["left"] and row["cured"] >= 0.9 * row["healthy"] for row in broken
    ]
    few = [row for row in healthy if row["kind"] != "healthy"]
    totals = {
        "broken": len(broken),
        "healthy": len(healthy),
        "healthy_on_few_samples": len(few),
        "few_with_any_finding": sum(bool(row["found"]) for row in few) / max(1, len(few)),
        "recall": sum(row["kind"] in row["found"] for row in broken) / max(1, len(broken)),
        "healthy_with_any_finding": sum(bool(row["found"]) for row in healthy)
        / max(1, len(healthy)),
        "repaired": sum(good) / max(1, len(broken)),
        "seconds_median": median(row["seconds"] for row in rows),
        "seconds_largest": max(row["seconds"] for row in rows),
    }
    names = "recall", "false_alarms", "named_beside_others", "gone", "repaired"
    print(f"{'kind':<22}{'broken':>7}" + "".join(f"{name:>21}" for name in names))
    for kind, figures in by_kind.items():
        cells = "".join(f"{figures[name]:>21.3f}" for name in names)
        print(f"{kind:<22}{figures['broken']:>7}{cells}")
    print(totals)
    if not args.smoke and not args.only:
        results = {"group": args.group, "seed": args.seed, "totals": totals, "kinds": by_kind}
        print(save(f"diagnose_{args.group}", {**results, "amiss": failures(rows)}))
    return rows


def section(record: dict) -> list[str]:
    totals, names = record["totals"], ("recall", "false_alarms", "named_beside_others", "repaired")
    rows = [
        [f"`{kind}`", row["broken"], *(percent(row[name]) for name in names)]
        for kind, row in record["kinds"].items()
    ]
    blocks = [
        "## Findings of the diagnosis",
        f"`diagnose` was applied to {totals['broken']} deliberately broken networks and "
        f"{totals['healthy']} healthy ones, on tables and seeds that were not used to set any "
        "threshold. The percentages are fractions of networks. Found: the kind of the fault is "
        "among the findings. False alarms: healthy networks with a finding of this kind. Found "
        "with other faults: networks with another fault and a finding of this kind. Repaired: "
        "after a fit with the parameters of all findings, this kind is no longer found, and the "
        "score on held-out samples is at least 90 % of the healthy network's.",
        markdown_table(
            ["kind", "broken", "found", "false alarms", "found with other faults", "repaired"], rows
        ),
    ]
    if totals.get("healthy_on_few_samples"):
        blocks.append(
            f"{totals['healthy_on_few_samples']} of the healthy networks were trained on 25 to 120 "
            f"samples; {percent(totals['few_with_any_finding'])} of them have a finding."
        )
    blocks.append(
        f"In total, {percent(totals['recall'])} of the faults are found and "
        f"{percent(totals['repaired'])} repaired; {percent(totals['healthy_with_any_finding'])} of "
        "the healthy networks have a finding. A diagnosis without samples takes "
        f"{1000 * totals['seconds_median']:.1f} milliseconds (median) and at most "
        f"{1000 * totals['seconds_largest']:.1f} milliseconds."
    )
    return blocks


def figures(record: dict) -> dict:
    names = "recall", "repaired", "healthy_with_any_finding"
    return {name.replace("_", " "): percent(record["totals"][name]) for name in names}


SECTIONS = {"diagnose_report": section}
