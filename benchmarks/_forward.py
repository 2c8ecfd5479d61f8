"""Forward selection of a portfolio, judged by the weighted ensembles of its configurations."""

from functools import cache

import numpy as np

from sknn_adam.ensemble.selection import NegativeLogLoss, NegativeSquaredError, greedy_weights

__all__ = ["Tables"]

N_ROUNDS = 50


class Tables:
    """The predictions of all configurations for all tables, and the losses of their ensembles.

    Parameters
    ----------
    predictions : dict
        For each table, a dict with the targets ``"y"``, a pair (out-of-fold, test), and for each
        configuration a pair of arrays of shape (n_rows, n_columns). Classes are column numbers.
    metrics : callable
        Returns the metrics of a table from the targets and the predictions of its test set.
    base : str
        Configuration of reference, with which the choice begins.
    companions : collection of tuple of str, default=((),)
        A portfolio is judged by its ensembles with each of these groups of estimators.
    """

    def __init__(self, predictions, metrics, base, companions=((),)):
        self.predictions, self.metrics, self.base = predictions, metrics, base
        self.companions = companions
        self.logs = cache(self._logs)
        self._metrics_of_base = cache(lambda table: self.ensemble(table, (base,)))

    def ensemble(self, table, names):
        """Return the metrics of the weighted ensemble of some configurations."""
        known = self.predictions[table]
        (y, y_test), pairs = known["y"], [known[name] for name in names]
        oof, test = (np.stack(each).astype(np.float64) for each in zip(*pairs, strict=True))
        weights = np.ones(1)
        if len(names) > 1:
            if oof.shape[2] > 1:
                criterion = NegativeLogLoss(y.astype(int), None)
            else:
                criterion = NegativeSquaredError(y[:, None], None)
            weights = greedy_weights(criterion.relevant(oof), criterion, N_ROUNDS)
        return self.metrics(table, y_test, np.tensordot(weights, test, axes=1))

    def _logs(self, table, names):
        base = self._metrics_of_base(table)
        found = self.ensemble(table, names)
        return {m: float(np.log((found[m] + 0.01) / (base[m] + 0.01))) for m in found}

    def loss(self, tables, names):
        """Return the mean logarithm of the ratios of the metrics to those of the base.

        It is averaged over the metrics of a table, the tables, and the companions.
        """
        return float(
            np.mean(
                [
                    np.mean(list(self.logs(table, tuple(sorted({*names, *extra}))).values()))
                    for table in tables
                    for extra in self.companions
                ]
            )
        )

    def finalists(self, tables, candidates, size):
        """Return the candidates that are best together with the base."""
        loss = {name: self.loss(tables, [self.base, name]) for name in candidates}
        return sorted(loss, key=loss.__getitem__)[:size]

    def choose(self, tables, candidates, size):
        """Return the portfolio after each step, and its loss. The base comes first."""
        portfolio, steps = [self.base], []
        while len(portfolio) < size:
            found = {
                name: self.loss(tables, [*portfolio, name])
                for name in candidates
                if name not in portfolio
            }
            portfolio.append(min(found, key=found.__getitem__))
            steps.append((list(portfolio), found[portfolio[-1]]))
        return steps
