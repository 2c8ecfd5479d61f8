"""What `diagnose` finds in networks that are broken on purpose, and in healthy ones.

Thresholds were set on the cases of ``--group tuning``; the figures are those of ``--group report``,
with other tables and other seeds. A fault counts as found when its kind is among the findings, as
repaired when after a fit with the parameters of all findings (and a scaler, where one is asked for
in words) its kind is gone and the score on held-out rows is within a tenth of the healthy
network's. Every healthy network that has a finding of a kind is a false alarm of that kind. Half of
the healthy networks are trained on 25 to 120 samples, where a few steps are often enough.
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
    parser.add_argument("--broken", type=int, default=15, help="of every kind")
    parser.add_argument("--healthy", type=int, default=100, help="of both kinds")
    parser.add_argument("--seed", type=int, default=1000, help="the first of the seeds")
    parser.add_argument(
        "--only", default="", help="comma separated kinds of broken or healthy networks"
    )
    parser.add_argument("--cases", default="", help="a file of fitted cases, written or read")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="one of each, no file")


def cases(args):
    """Return the fitted cases; those that are in a file already are not drawn again."""
    file, found = Path(args.cases), []
    if args.cases and file.exists():
        found = pickle.loads(file.read_bytes())
    drawn = {case.kind for case in found}
    for kind in args.only.split(",") if args.only else [*KINDS, *HEALTHY]:
        if kind in drawn:
            continue
        number = args.healthy if kind in HEALTHY else args.broken
        found += [draw(kind, args.group, args.seed + i) for i in range(number)]
        print(f"{kind}: {number} drawn", flush=True)
        if args.cases:
            file.write_bytes(pickle.dumps(found))
    return found


def findings_of(case, model):
    """Return the findings and the seconds that they took without rows, and with them."""
    start = perf_counter()
    found = diagnose(model)
    free = perf_counter() - start
    if case.given:
        found = diagnose(model, *case.test)
    return found, free


def judge(case):
    """Return what was found in a case and what came of the cure."""
    found, seconds = findings_of(case, case.model)
    row = {
        "kind": case.kind,
        "table": case.table,
        "found": [finding.kind for finding in found],
        "score": round(case.score, 3),
        "healthy": round(case.reference, 3),
        "seconds": seconds,
    }
    if case.kind in HEALTHY:
        return row
    model = repaired(case.model, found.params, " ".join(finding.cure for finding in found))
    row["cured"] = round(train(model, case), 3)
    row["left"] = [finding.kind for finding in findings_of(case, model)[0]]
    row["params"] = {name: repr(value) for name, value in found.params.items()}
    return row


def table(rows):
    """Return recall, false alarms and repairs by kind."""
    healthy = [row for row in rows if row["kind"] in HEALTHY]
    alarms = Counter(kind for row in healthy for kind in row["found"])
    found = {}
    for kind in KINDS:
        own = [row for row in rows if row["kind"] == kind]
        other = [row for row in rows if row["kind"] not in (kind, *HEALTHY)]
        gone = [row for row in own if kind not in row["left"]]
        close = [row for row in gone if row["cured"] >= 0.9 * row["healthy"]]
        found[kind] = {
            "broken": len(own),
            "recall": sum(kind in row["found"] for row in own) / max(1, len(own)),
            "false_alarms": alarms[kind] / max(1, len(healthy)),
            "named_beside_others": sum(kind in row["found"] for row in other) / max(1, len(other)),
            "gone": len(gone) / max(1, len(own)),
            "repaired": len(close) / max(1, len(own)),
        }
    return found


def amiss(rows):
    """Return what was missed, was not repaired, or was found in a healthy network."""
    found = []
    for row in rows:
        if row["kind"] in HEALTHY:
            wrong = bool(row["found"])
        else:
            close = row["cured"] >= 0.9 * row["healthy"]
            wrong = row["kind"] not in row["found"] or row["kind"] in row["left"] or not close
        if wrong:
            found.append({name: row[name] for name in row if name != "seconds"})
    return found


def run(args):
    if args.smoke:
        args.broken = args.healthy = 1
    drawn = cases(args)
    rows = Parallel(n_jobs=args.jobs)(delayed(judge)(case) for case in drawn)
    found = table(rows)
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
    for kind, figures in found.items():
        cells = "".join(f"{figures[name]:>21.3f}" for name in names)
        print(f"{kind:<22}{figures['broken']:>7}{cells}")
    print(totals)
    if not args.smoke and not args.only:
        results = {"group": args.group, "seed": args.seed, "totals": totals, "kinds": found}
        print(save(f"diagnose_{args.group}", {**results, "amiss": amiss(rows)}))
    return rows


def section(found: dict) -> list[str]:
    totals, names = found["totals"], ("recall", "false_alarms", "named_beside_others", "repaired")
    rows = [
        [f"`{kind}`", row["broken"], *(percent(row[name]) for name in names)]
        for kind, row in found["kinds"].items()
    ]
    blocks = [
        "## What the diagnosis finds",
        f"{totals['broken']} networks broken on purpose and {totals['healthy']} healthy ones, on "
        "tables and seeds that were not used to set any threshold. Found: the kind is among the "
        "findings. False alarms: the fraction of healthy networks with a finding of this kind. "
        "Found with other faults: the fraction of networks broken in another way with a finding of "
        "this kind. Repaired: a fit with the parameters of all findings no longer has this "
        "finding, and its score on held-out samples is within 10 % of a healthy network's.",
        markdown_table(
            ["kind", "broken", "found", "false alarms", "found with other faults", "repaired"], rows
        ),
    ]
    if totals.get("healthy_on_few_samples"):
        blocks.append(
            f"{totals['healthy_on_few_samples']} of the healthy networks were trained on 25 to 120 "
            f"samples; {percent(totals['few_with_any_finding'])} of these have a finding."
        )
    blocks.append(
        f"In total, {percent(totals['recall'])} of the faults are found and "
        f"{percent(totals['repaired'])} repaired; {percent(totals['healthy_with_any_finding'])} of "
        "the healthy networks have a finding. A diagnosis without samples takes "
        f"{1000 * totals['seconds_median']:.1f} milliseconds in the median and at most "
        f"{1000 * totals['seconds_largest']:.1f}."
    )
    return blocks


def figures(found: dict) -> dict:
    names = "recall", "repaired", "healthy_with_any_finding"
    return {name.replace("_", " "): percent(found["totals"][name]) for name in names}


SECTIONS = {"diagnose_report": section}
