"""The section of ``benchmarks score`` on the page, and its figure."""

from collections import defaultdict
from statistics import mean

from benchmarks._methods import OURS
from benchmarks._page import interval, markdown_table, percent, save_figure
from benchmarks._score_summary import METRICS

TITLES = dict(zip(METRICS, ("error", "log loss", "RMSE", "both losses"), strict=True))


def section(record: dict) -> list[str]:
    references, tables = list(record["ratios"]), record["n_tables"]
    reference = references[0]
    blocks = [
        "## All methods on real tables",
        f"All methods were run on the test sets of {tables} real tables, with their default "
        "parameters and one thread. `fast` and `default` are recipes of `make_tabular_pipeline`, "
        "`best` is `make_tabular_ensemble`, and `best and boosting` also includes scikit-learn's "
        "histogram gradient boosting. `MLP` is `MLPClassifier` or `MLPRegressor` with default "
        "parameters. Both MLPs have scaled numbers and one-hot encoded categories. The boosting "
        "methods handle categories natively; scikit-learn's supports 255 levels, so the rarest "
        "levels of larger columns share one. In tables with groups of rows, the cross-fitted "
        "methods of this package keep groups together in their folds. The other methods do not use "
        "the groups.",
        "The figures are geometric means over the tables of the ratio of (metric + 0.01) to that "
        f"of {reference}, with 95 % intervals over bootstrap samples of the tables. Values below 1 "
        'are better. Metrics are averaged over the seeds first. "Both losses" is the log loss of '
        "classifiers and the RMSE of regressors, over all tables. Times are CPU seconds relative "
        "to the reference, including the preparation of the columns: the geometric mean and the "
        "maximum over the tables.",
        ratios_table(record, reference),
    ]
    for other in references[1:]:
        blocks += [f"The same ratios to {other}:", ratios_table(record, other, times=False)]
    blocks.append(
        "![ratios of losses and errors against the time of a fit](scores.png)\n\n"
        "The next table shows the ratios of both losses to those of "
        f"{reference}, for groups of tables with similar properties."
    )
    blocks += [groups_table(record, reference), *out_of_fold(record), *failures(record)]
    commands = ", ".join(f"`{command}`" for command in record.get("commands", ()))
    return [*blocks, f"The fits were made by {commands}."] if commands else blocks


def large_section(record: dict) -> list[str]:
    reference = next(iter(record["ratios"]))
    return [
        "## Real tables with all rows",
        f"The same comparison on {record['n_tables']} tables with more than 8,000 training rows, "
        "of which all are used.",
        ratios_table(record, reference),
        "For each table: the log loss or RMSE and the CPU seconds of a fit, as means over the "
        "seeds.",
        each_table(record),
        *failures(record),
    ]


def each_table(record):
    """Return a table of losses and times with one row per table."""
    fits = defaultdict(list)
    for row in record["rows"]:
        if "exception" not in row:
            fits[row["table"], row["method"]].append(row)
    methods = list(dict.fromkeys(row["method"] for row in record["rows"]))
    rows = []
    for name, facts in record["tables"].items():
        cells = []
        for method in methods:
            found = fits[name, method]
            losses = [row.get("logloss", row.get("nrmse")) for row in found]
            seconds = [row["fit_seconds"] for row in found]
            cells.append(f"{mean(losses):.4f}, {mean(seconds):.3g} s" if found else "–")
        rows.append([name, f"{facts['training rows']:,}", facts["columns"], *cells])
    return markdown_table(["table", "rows", "columns", *methods], rows)


def ratios_table(record, reference, times=True):
    rows = []
    for method, ratios in record["ratios"][reference].items():
        cells = [interval(*ratios[m]["ratio"], 3) if m in ratios else "–" for m in METRICS]
        count = ratios["loss"]["tables"] if "loss" in ratios else 0
        row = [method, *cells, count]
        rows.append([*row, *time_cells(record["times"].get(method, {}))] if times else row)
    titles = ["method", *TITLES.values(), "tables"]
    return markdown_table([*titles, "fit: mean (max)", "predict: mean (max)"][: len(rows[0])], rows)


def time_cells(times):
    return [
        f"{times[name]['mean']:.3g} ({times[name]['maximum']:.3g})" if name in times else "–"
        for name in ("fit_seconds", "predict_seconds")
    ]


def groups_table(record, reference):
    methods = [method for method in record["ratios"][reference] if method != reference]
    rows = []
    for group, found in record["groups"].items():
        ratios = found["ratios"].get(reference, {})
        cells = [
            f"{ratios[method]['loss']['ratio'][0]:.3f}" if ratios.get(method) else "–"
            for method in methods
        ]
        rows.append([group, found["n_tables"], *cells])
    return markdown_table(["group", "tables", *methods], rows)


def out_of_fold(record):
    """Return a table that compares out-of-fold scores with test scores."""
    rows = []
    for method, found in record["out_of_fold"].items():
        for name, each in found.items():
            values = (each[key] for key in ("median_absolute", "expected_absolute", "median"))
            rows.append([method, f"`{name}_`", *map(percent, values), each["fits"]])
    if not rows:
        return []
    return [
        "The out-of-fold scores of the ensembles differ from their test scores as follows (log "
        "loss or RMSE, medians over all fits; a negative difference means that the out-of-fold "
        "score is optimistic). Even an unbiased score differs, because the samples are finitely "
        "many; this absolute difference is estimated from the losses of single samples.",
        markdown_table(
            [
                *("method", "score", "absolute difference", "of an unbiased score"),
                *("difference", "fits"),
            ],
            rows,
        ),
    ]


def failures(record):
    failed = [row for row in record["rows"] if "exception" in row]
    if not failed:
        return []
    each = (f"{row['method']} on {row['table']} (seed {row['seed']})" for row in failed)
    return [f"These fits failed: {', '.join(each)}."]


# -- figure --------------------------------------------------------------------------------------

# Positions of labels relative to their points: x and y in points, and the alignment.
OFFSETS = [
    *((7, 0, "left", "center"), (-7, 0, "right", "center")),
    *((0, 7, "center", "bottom"), (0, -7, "center", "top")),
    *((6, 6, "left", "bottom"), (6, -6, "left", "top")),
    *((-6, 6, "right", "bottom"), (-6, -6, "right", "top")),
    *((14, 14, "left", "bottom"), (14, -14, "left", "top")),
    *((-14, 14, "right", "bottom"), (-14, -14, "right", "top")),
]


def draw_figure(record: dict) -> None:
    """Plot the ratios of losses and errors against the time of a fit, with one label per method."""
    import matplotlib.pyplot as plt

    reference, by_method = next(iter(record["ratios"].items()))
    panels = {"loss": "log loss and RMSE", "error": "error"}
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    labels = []
    for axis, (metric, title) in zip(axes, panels.items(), strict=True):
        points = {}
        for method, ratios in by_method.items():
            if metric not in ratios or method not in record["times"]:
                continue
            time = record["times"][method]["fit_seconds"]["mean"]
            middle, low, high = ratios[metric]["ratio"]
            color = "#0072B2" if method in OURS else "#D55E00"
            axis.plot([time, time], [low, high], color=color, alpha=0.25)
            axis.plot(time, middle, "o", color=color, ms=6)
            points[method] = time, middle, color
        axis.set(xscale="log", xlabel=f"CPU time of fit / {reference}", title=title)
        axis.axhline(1, color="gray", lw=0.8, ls=":")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
        labels.append((axis, points))
    # The layout determines the positions in pixels.
    axes[0].set_ylabel(f"metric / {reference}")
    figure.canvas.draw()
    for axis, points in labels:
        place_labels(axis, points)
    save_figure(figure, "scores.png")
    plt.close(figure)


def place_labels(axis, points) -> None:
    """Label points at the first position that overlaps no other point or label."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    halo = [withStroke(linewidth=2.5, foreground="white")]
    renderer = axis.figure.canvas.get_renderer()
    taken = []
    for time, value, _ in points.values():
        x, y = axis.transData.transform((time, value))
        taken.append(Bbox.from_bounds(x - 5, y - 5, 10, 10))
    frame = axis.get_window_extent(renderer)
    for method, (time, value, color) in points.items():
        best = None
        for x, y, horizontal, vertical in OFFSETS:
            label = axis.annotate(
                method,
                (time, value),
                (x, y),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                color=color,
                fontsize=9,
                path_effects=halo,
            )
            box = label.get_window_extent(renderer).padded(2)
            inside = frame.containsx(box.x0) and frame.containsx(box.x1)
            overlaps = sum(box.overlaps(other) for other in taken) + (not inside)
            if best is None or overlaps < best[0]:
                if best is not None:
                    best[1].remove()
                best = overlaps, label, box
            else:
                label.remove()
            if best[0] == 0:
                break
        taken.append(best[2])
