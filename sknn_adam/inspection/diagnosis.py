"""The diagnosis: what is wrong with a fitted network, and the parameters that cure it."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length

from sknn_adam.inspection import _layer_checks as layers
from sknn_adam.inspection import _training_checks as course
from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection._fitted_networks import Inside, fitted_networks
from sknn_adam.inspection.findings import SEVERITIES, Finding, Findings

__all__ = ["diagnose"]

SCALES = ("unscaled_inputs", "unscaled_targets")
STUCK = ("vanishing_gradients", "dead_units")
STEPS = ("exploding_gradients", "clipping_always", "learning_rate_high", "learning_rate_low")
CAUSES = (*SCALES, *STUCK, *STEPS, "saturated_units", "underfitting")
# Each check, and the kinds of finding that explain what it would find: causes come first.
CHECKS = (
    (layers.unscaled_inputs, ()),
    (layers.unscaled_targets, ()),
    (layers.exploding_gradients, SCALES),
    (layers.vanishing_gradients, SCALES),
    (course.learning_rate_high, (*SCALES, "exploding_gradients", "vanishing_gradients")),
    (course.diverged, ()),
    (course.underfitting, (*SCALES, "vanishing_gradients", "learning_rate_high")),
    (layers.dead_units, (*SCALES, "exploding_gradients", "learning_rate_high", "underfitting")),
    (layers.saturated_units, (*SCALES, "learning_rate_high")),
    (layers.clipping_always, SCALES),
    (course.learning_rate_low, (*SCALES, *STUCK, "clipping_always", "saturated_units")),
    (course.batch_too_large, (*CAUSES, "diverged")),
    (course.overfitting, (*SCALES, *STUCK, "diverged", "saturated_units")),
    (course.stopped_early, (*CAUSES, "batch_too_large")),
    (
        course.too_few_steps,
        (*CAUSES, "diverged", "batch_too_large", "overfitting", "stopped_early"),
    ),
)


def diagnose(fitted: Any, X: Any = None, y: Any = None) -> Findings:
    """Find what is wrong with a fitted network, and the parameters that cure it.

    The evidence is what ``fit`` recorded; X and y add one pass over them. Samples that were not in
    the training data show overfitting.

    Parameters
    ----------
    fitted : estimator
        A fitted MLPClassifier or MLPRegressor, a Pipeline or a search that holds one, or an
        ensemble of them; for an ensemble, the findings shared by at least half of its networks.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), optional
        Samples for `fitted`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Their targets.

    Returns
    -------
    Findings
        A list of `Finding`, the most severe first, which prints as a table. ``findings.params``
        are the parameters of all of them, for ``fitted.set_params``.

    Raises
    ------
    NotFittedError
        If there is no fitted network inside.
    ValueError
        If nothing was recorded (``record=False``), y is given without X, or X and y do not match
        each other or the network.
    TypeError
        If `fitted` is not an estimator.

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
    groups: dict[str, list[Inside]] = {}
    for inside in fitted_networks(fitted, X, y):
        groups.setdefault(inside.prefix, []).append(inside)
    findings: list[Finding] = []
    for prefix, networks in groups.items():
        cases: dict[str, list[tuple[Finding, Inside]]] = {}
        for inside in networks:
            for finding in _findings(inside):
                cases.setdefault(finding.kind, []).append((finding, inside))
        for found in cases.values():
            if len(found) < len(networks) / 2:
                continue
            finding, inside = found[0]
            evidence = finding.evidence
            if len(networks) > 1:
                evidence = f"in {len(found)} of {len(networks)} networks; in one, {evidence}"
            if len(groups) > 1:
                evidence = f"{prefix.removesuffix('__')}: {evidence}"
            findings.append(replace(finding, evidence=evidence, params=_placed(finding, inside)))
    return Findings(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _findings(inside: Inside) -> list[Finding]:
    """Return the findings of one network, with the parameters of the network itself."""
    mlp, X = inside.network, inside.X
    if not mlp.history_.table:
        raise ValueError(
            f"{type(mlp).__name__} recorded nothing to diagnose. Fit with record=True, or "
            "record='all'."
        )
    if X is not None:
        mlp._raw(X)  # the same validation as in predict
        X = X.tocsr() if issparse(X) else np.asarray(X)
    evidence, findings = Evidence(mlp, X, inside.y), []
    with np.errstate(all="ignore"):
        for check, explained_by in CHECKS:
            if evidence.found.isdisjoint(explained_by) and (result := check(evidence)) is not None:
                findings.append(Finding(check.__name__, *result))
                evidence.found.add(check.__name__)
    return findings


def _placed(finding: Finding, inside: Inside) -> dict[str, Any]:
    """Return the parameters of the outermost estimator; a scaler goes into its Pipeline."""
    prefix: str
    pipeline: Any
    prefix, pipeline = inside.around[-1] if inside.around else ("", None)
    if finding.kind != "unscaled_inputs" or not hasattr(pipeline, "steps"):
        return inside.named(finding.params)
    scaler = StandardScaler(with_mean="with_mean=False" not in finding.cure)
    empty = [name for name, step in pipeline.steps if step in ("passthrough", None)]
    if empty:
        return {f"{prefix}{empty[-1]}": scaler}
    whole = inside.around[0][1].get_params()
    # Copies, because set_params of steps that are in use would train them anew.
    *before, last = ((n, clone(step, safe=False)) for n, step in whole[f"{prefix}steps"])
    return {f"{prefix}steps": [*before, ("scale_inputs", scaler), last]}
