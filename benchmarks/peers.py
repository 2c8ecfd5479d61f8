"""The same training in this package and in others: minibatches, Adam at 0.001, an L2 penalty.

Each peer is a function ``prepare(X, y, hidden, batch, epochs, alpha, seed) -> fit``. ``fit()``
trains a classifier from initial weights, converts the given NumPy arrays if necessary, and returns
the mean loss of the last epoch. JAX compiles in `prepare`; Numba and torch.compile compile in the
first call of `fit`, which should not be timed. A peer whose package is missing raises ImportError.
"""

import os
from functools import partial
from itertools import pairwise
from unittest.mock import patch

import numpy as np
from sklearn.neural_network import MLPClassifier as TheirClassifier

from sknn_adam import MLPClassifier

AS_THEIRS = {
    "initializer": "glorot_uniform",
    "bias_initializer": "glorot_uniform",
    "averaging": None,
    "l1_ratio": 0.0,
}


def _estimator(kind, X, y, **params):
    return lambda: kind(**params).fit(X, y).loss_curve_[-1]


def our_fit(X, y, hidden, batch, epochs, alpha, seed, **params):
    """Return a function that trains sknn_adam with the backend of the environment."""
    params = {"alpha": alpha, **_common(hidden, batch, epochs, seed), **AS_THEIRS, **params}
    return _estimator(MLPClassifier, X, y, **params)


def ours(kernels, **params):
    """Return the peer that trains sknn_adam with the given backend and parameters."""

    def prepare(X, y, hidden, batch, epochs, alpha, seed):
        fit = our_fit(X, y, hidden, batch, epochs, alpha, seed, **params)

        def run():
            with patch.dict(os.environ, SKNN_ADAM_KERNELS=kernels):
                return fit()

        return run

    return prepare


def ours_in_float32(X, *arguments):
    """Prepare sknn_adam in float32, for the tables on which it trains in float64 by default."""
    if not trains_in_float64(X):
        raise ValueError("This table is trained in float32 by default.")
    return ours("fused", dtype="float32")(X, *arguments)


def trains_in_float64(X) -> bool:
    """Return whether sknn_adam trains on this float64 table in float64 by default."""
    # Benchmarks of two commits do not need this module, which another commit may not have.
    from sknn_adam._estimator.parameters import SMALL_TABLE

    return X.shape[0] * X.shape[1] < SMALL_TABLE


def _common(hidden, batch, epochs, seed):
    return {
        "hidden_layer_sizes": hidden,
        "batch_size": batch,
        "max_iter": epochs,
        "tol": 0.0,
        "n_iter_no_change": epochs,
        "random_state": seed,
    }


def scikit_learn(X, y, hidden, batch, epochs, alpha, seed):
    # scikit-learn divides alpha by the batch size.
    params = {"alpha": alpha * batch, **_common(hidden, batch, epochs, seed)}
    return _estimator(TheirClassifier, X, y, **params)


def _refuse_sparse(X):
    if not isinstance(X, np.ndarray):
        raise ValueError("This peer does not support sparse input.")


def _torch_network(torch, n_features, hidden, n_classes):
    widths = [n_features, *hidden]
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], n_classes))


def _torch(X, y, hidden, batch, epochs, alpha, seed, compiled):
    import torch

    _refuse_sparse(X)
    torch.manual_seed(seed)
    n_classes = len(np.unique(y))
    network = _torch_network(torch, X.shape[1], hidden, n_classes)
    initial = {name: value.clone() for name, value in network.state_dict().items()}
    run = torch.compile(network) if compiled else network

    def fit():
        network.load_state_dict(initial)
        inputs = torch.from_numpy(X.astype(np.float32))
        targets = torch.from_numpy(y.astype(np.int64))
        groups = [
            {"params": [p for p in network.parameters() if p.ndim == 2], "weight_decay": alpha},
            {"params": [p for p in network.parameters() if p.ndim == 1]},
        ]
        optimizer = torch.optim.Adam(groups, lr=1e-3)
        criterion = torch.nn.CrossEntropyLoss()
        for _ in range(epochs):
            total = 0.0
            for rows in torch.randperm(len(inputs)).split(batch):
                optimizer.zero_grad()
                loss = criterion(run(inputs[rows]), targets[rows])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
        return total / len(inputs)

    return fit


def torch_eager(X, y, hidden, batch, epochs, alpha, seed):
    return _torch(X, y, hidden, batch, epochs, alpha, seed, compiled=False)


def torch_compile(X, y, hidden, batch, epochs, alpha, seed):
    return _torch(X, y, hidden, batch, epochs, alpha, seed, compiled=True)


def skorch(X, y, hidden, batch, epochs, alpha, seed):
    import torch
    from skorch import NeuralNetClassifier

    _refuse_sparse(X)
    n_classes = len(np.unique(y))

    def fit():
        torch.manual_seed(seed)
        net = NeuralNetClassifier(
            _torch_network(torch, X.shape[1], hidden, n_classes),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__weight_decay=alpha,
            lr=1e-3,
            batch_size=batch,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )
        net.fit(X.astype(np.float32), y.astype(np.int64))
        return float(net.history[-1]["train_loss"])

    return fit


def jax(X, y, hidden, batch, epochs, alpha, seed):
    """Compile an epoch, which is a scan over its batches, before the first fit.

    The loss, the number of outputs, the penalty and the smaller last batch are those of sknn_adam.
    """
    import jax
    import jax.numpy as jnp
    import optax

    _refuse_sparse(X)
    n_classes = len(np.unique(y))
    binary = n_classes == 2
    widths = [X.shape[1], *hidden, 1 if binary else n_classes]
    rng = np.random.default_rng(seed)
    initial = [
        (
            (rng.uniform(-1, 1, (i, o)) * np.sqrt(6 / (i + o))).astype(np.float32),
            np.zeros(o, np.float32),
        )
        for i, o in pairwise(widths)
    ]
    optimizer = optax.adam(1e-3)

    def objective(params, x, t):
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        logits = x @ params[-1][0] + params[-1][1]
        if binary:
            losses = optax.sigmoid_binary_cross_entropy(logits[:, 0], t)
        else:
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, t)
        return losses.mean() + alpha / 2 * sum((W**2).sum() for W, _ in params)

    def step(carry, rows, inputs, targets):
        params, state = carry
        loss, gradient = jax.value_and_grad(objective)(params, inputs[rows], targets[rows])
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, updates), state), loss

    @partial(jax.jit, donate_argnums=0)
    def epoch(carry, batches, rest, inputs, targets):
        def one(carry, rows):
            return step(carry, rows, inputs, targets)

        carry, losses = jax.lax.scan(one, carry, batches)
        total = losses.sum() * batches.shape[1]
        if rest.size:
            carry, loss = one(carry, rest)
            total += loss * rest.size
        return carry, total / len(inputs)

    n_whole = len(X) // batch

    def fit(epochs=epochs):
        inputs, targets = jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.int32)
        # A donated array must not share memory with `initial`.
        params = jax.tree_util.tree_map(jnp.array, initial)
        carry, order = (params, optimizer.init(params)), np.random.default_rng(seed)
        for _ in range(epochs):
            rows = order.permutation(len(X)).astype(np.int32)
            batches, rest = rows[: n_whole * batch].reshape(-1, batch), rows[n_whole * batch :]
            carry, loss = epoch(carry, batches, rest, inputs, targets)
        return float(loss)

    fit(1)
    return fit


N_MEMBERS = 8
OF_MEMBERS = f"sknn_adam, {N_MEMBERS} members"
PEERS = {
    "sknn_adam": ours("fused"),
    "sknn_adam (float32)": ours_in_float32,
    "sknn_adam, NumPy": ours("numpy"),
    "scikit-learn": scikit_learn,
    "torch": torch_eager,
    "torch.compile": torch_compile,
    "skorch": skorch,
    "JAX": jax,
}
# Not a peer of the others: it trains several networks.
MEMBERS = {OF_MEMBERS: ours("fused", n_members=N_MEMBERS)}
