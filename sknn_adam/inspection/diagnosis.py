"""The diagnosis: what is wrong with a fitted network, and the parameters that cure it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length

from sknn_adam.inspection import _checks, _checks_of_course
from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection._inside import Inside, fitted_networks
from sknn_adam.inspection.findings import SEVERITIES, Finding, Findings

__all__ = ["diagnose"]

SCALES = ("unscaled_inputs", "unscaled_targets")
STUCK = ("vanishing_gradients", "dead_units")
# Each check, and the kinds that explain what it would find: causes come first.
CHECKS = (
    (_checks.unscaled_inputs, ()),
    (_checks.unscaled_targets, ()),
    (_checks.exploding_gradients, SCALES),
    (_checks.vanishing_gradients, SCALES),
    (_checks_of_course.learning_rate_high, (*SCALES, "exploding_gradients", "vanishing_gradients")),
    (_checks_of_course.diverged, ()),
    (_checks_of_course.underfitting, (*SCALES, "vanishing_gradients", "learning_rate_high")),
    (_checks.dead_units, (*SCALES, "exploding_gradients", "learning_rate_high", "underfitting")),
    (_checks.saturated_units, (*SCALES, "learning_rate_high")),
    (_checks.clipping_always, SCALES),
    (_checks_of_course.learning_rate_low, (*SCALES, *STUCK, "clipping_always", "saturated_units")),
    (
        _checks_of_course.batch_too_large,
        (
            *SCALES,
            *STUCK,
            "diverged",
            "exploding_gradients",
            "saturated_units",
            "clipping_always",
            "learning_rate_high",
            "learning_rate_low",
            "underfitting",
        ),
    ),
    (_checks_of_course.overfitting, (*SCALES, *STUCK, "diverged", "saturated_units")),
    (
        _checks_of_course.stopped_early,
        (
            *SCALES,
            *STUCK,
            "exploding_gradients",
            "saturated_units",
            "clipping_always",
            "learning_rate_high",
            "learning_rate_low",
            "underfitting",
            "batch_too_large",
        ),
    ),
    (
        _checks_of_course.too_few_steps,
        (
            *SCALES,
            *STUCK,
            "diverged",
            "exploding_gradients",
            "saturated_units",
            "clipping_always",
            "learning_rate_high",
            "learning_rate_low",
            "underfitting",
            "batch_too_large",
            "overfitting",
            "stopped_early",
        ),
    ),
)


def diagnose(fitted: Any, X: Any = None, y: Any = None) -> Findings:
    """Tell what is wrong with a fitted network, and which parameters cure it.

    The evidence is what ``fit`` recorded; X and y add one pass over them. Rows that the network was
    not trained on show overfitting.

    Parameters
    ----------
    fitted : estimator
        A fitted MLPClassifier or MLPRegressor, a Pipeline or a search that holds one, or an
        ensemble of them; of an ensemble is told what at least half of its networks show.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), optional
        Rows for `fitted`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        What belongs to them.

    Returns
    -------
    Findings
        A list of `Finding`, the worst first; it prints as a table. ``findings.params`` are the
        parameters of all of them, for ``fitted.set_params``.

    Raises
    ------
    NotFittedError
        If there is no fitted network inside.
    ValueError
        If nothing was recorded (``record=False``), y is given without X, or X and y do not fit to
        each other or to the network.
    TypeError
        If `fitted` is no estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import diagnose
    >>> X, y = load_wine(return_X_y=True)
    >>> findings = diagnose(MLPClassifier(max_iter=20, random_state=0).fit(X, y))
    >>> findings[0].kind, findings[0].severity
    ('unscaled_inputs', 'high')
    """
    if y is not None and X is None:
        raise ValueError("y was given without X.")
    check_consistent_length(X, y)
    found: list[Finding] = []
    groups: dict[str, list[Inside]] = {}
    for inside in fitted_networks(fitted, X, y):
        groups.setdefault(inside.prefix, []).append(inside)
    for prefix, networks in groups.items():
        several = [[(f, inside) for f in _of_one(inside)] for inside in networks]
        counts = Counter(finding.kind for each in several for finding, _ in each)
        seen = set()
        for finding, inside in (pair for each in several for pair in each):
            if finding.kind in seen or counts[finding.kind] < len(networks) / 2:
                continue
            seen.add(finding.kind)
            told = finding.evidence
            if len(networks) > 1:
                told = f"in {counts[finding.kind]} of {len(networks)} networks; in one, {told}"
            if len(groups) > 1:
                told = f"{prefix.removesuffix('__')}: {told}"
            found.append(replace(finding, evidence=told, params=_placed(finding, inside)))
    return Findings(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _of_one(inside: Inside) -> list[Finding]:
    """Return the findings of one network, with the parameters of the network itself."""
    mlp, X = inside.network, inside.X
    if not mlp.history_.table:
        raise ValueError(
            f"{type(mlp).__name__} recorded nothing to diagnose. Fit with record=True, or "
            "record='all'."
        )
    if X is not None:
        mlp._raw(X)  # checked as predict does
        X = X.tocsr() if issparse(X) else np.asarray(X)
    evidence, found = Evidence(mlp, X, inside.y), []
    with np.errstate(all="ignore"):
        for check, explained_by in CHECKS:
            if not evidence.found & set(explained_by):
                finding = check(evidence)
                if finding is not None:
                    found.append(finding)
                    evidence.found.add(finding.kind)
    return found


def _placed(finding: Finding, inside: Inside) -> dict[str, Any]:
    """Return the parameters as those of what the user holds; a scaler goes into its Pipeline."""
    if finding.kind == "unscaled_inputs" and inside.around:
        prefix, pipeline = inside.around[-1]
        if hasattr(pipeline, "steps"):
            scaler = StandardScaler(with_mean="with_mean=False" not in finding.cure)
            empty = [name for name, step in pipeline.steps if step in ("passthrough", None)]
            if empty:
                return {f"{prefix}{empty[-1]}": scaler}
            whole = inside.around[0][1].get_params()
            # Copies: a set_params of steps that are in use would train them anew.
            *before, last = ((n, clone(step, safe=False)) for n, step in whole[f"{prefix}steps"])
            return {f"{prefix}steps": [*before, ("scale_inputs", scaler), last]}
    return inside.named(finding.params)
