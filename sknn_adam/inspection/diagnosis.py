"""Diagnosis of fitted networks: faults, and the parameters that fix them."""

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
# Each check, with the kinds of findings that would explain its finding. Causes come first: a check
# is skipped if one of its causes was found.
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
    (course.too_few_steps, (*CAUSES, "diverged", "batch_too_large", "overfitting")),
    (course.stopped_early, (*CAUSES, "batch_too_large", "too_few_steps")),
    (course.unused_epochs, (*CAUSES, "diverged", "batch_too_large")),
)


def diagnose(estimator: Any, X: Any = None, y: Any = None) -> Findings:
    """Diagnose faults of a fitted network and suggest parameters that fix them.

    The diagnosis uses the history that ``fit`` recorded. With X and y, it also makes one forward
    pass over these samples. To detect overfitting, pass samples that were not used for training.

    Parameters
    ----------
    estimator : estimator
        A fitted MLPClassifier or MLPRegressor, a Pipeline or search that contains one, or an
        ensemble of them. For an ensemble, findings shared by at least half of its networks are
        reported.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), optional
        Samples in the form that `estimator` takes.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Targets of these samples.

    Returns
    -------
    Findings
        A list of `Finding`, most severe first, which prints as a table. ``findings.params``
        contains the parameters that all findings suggest, for ``estimator.set_params``.

    Raises
    ------
    NotFittedError
        If `estimator` contains no fitted network.
    ValueError
        If no history was recorded (``record=False``), if y is given without X, or if X and y do
        not match each other or the network.
    TypeError
        If `estimator` is not an estimator.

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
        raise ValueError("y was given without X. Pass both, or neither.")
    check_consistent_length(X, y)
    groups: dict[str, list[Inside]] = {}
    for inside in fitted_networks(estimator, X, y):
        groups.setdefault(inside.prefix, []).append(inside)
    findings: list[Finding] = []
    for prefix, networks in groups.items():
        cases: dict[str, list[tuple[Finding, Inside]]] = {}
        for inside in networks:
            for finding in _findings(inside):
                cases.setdefault(finding.kind, []).append((finding, inside))
        for matches in cases.values():
            if len(matches) < len(networks) / 2:
                continue
            finding, inside = matches[0]
            evidence = finding.evidence
            if len(networks) > 1:
                evidence = (
                    f"in {len(matches)} of {len(networks)} networks; in one of them, {evidence}"
                )
            if len(groups) > 1:
                evidence = f"{prefix.removesuffix('__')}: {evidence}"
            findings.append(replace(finding, evidence=evidence, params=_placed(finding, inside)))
    return Findings(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _findings(inside: Inside) -> list[Finding]:
    """Return the findings of one network, with parameters for the network itself."""
    mlp, X = inside.network, inside.X
    if not mlp.history_.table:
        raise ValueError(
            f"{type(mlp).__name__} has no recorded history to diagnose. Fit with record=True or "
            "record='all'."
        )
    if X is not None:
        mlp._raw(X)  # the same validation as in predict
        X = X.tocsr() if issparse(X) else np.asarray(X)
    evidence, findings = Evidence(mlp, X, inside.y), []
    with np.errstate(all="ignore"):
        for check, explained_by in CHECKS:
            if evidence.kinds.isdisjoint(explained_by) and (result := check(evidence)) is not None:
                findings.append(Finding(check.__name__, *result))
                evidence.kinds.add(check.__name__)
    return findings


def _placed(finding: Finding, inside: Inside) -> dict[str, Any]:
    """Return parameters for the outermost estimator; for unscaled inputs, with a scaler."""
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
    # Clone the steps: otherwise refitting after set_params would change the fitted estimator.
    *before, last = ((n, clone(step, safe=False)) for n, step in whole[f"{prefix}steps"])
    return {f"{prefix}steps": [*before, ("scale_inputs", scaler), last]}
