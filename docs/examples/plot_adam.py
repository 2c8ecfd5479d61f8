r"""
Adam is momentum and RMSprop: paths in two dimensions
=====================================================

    Adam, which stands for Adaptive Moment Estimation, is an algorithm that builds on two other
    optimization methods: momentum and RMSprop.

    Momentum: [...] the updates to the parameters "smooth out" and avoid getting stuck in shallow
    local minima.

    RMSprop: This method addresses the issue of varying learning rates by scaling the learning rate
    for each parameter individually. [...] This is really helpful because different parameters might
    require different learning rates depending on their sensitivity.

Two parameters are enough to test each of these claims and to find its limits. An optimizer in this
package is a small object that does not need a network: ``init`` creates its state, and ``step``
updates a vector in place. The rules work element by element, so a vector of many pairs represents
many independent runs. :doc:`plot_adam_in_practice` applies the same optimizers to networks.
"""

import matplotlib.pyplot as plt
import numpy as np

from sknn_adam.optimizers import SGD, Adam, RMSprop

COLORS = {"SGD": "#0072B2", "momentum": "#D55E00", "RMSprop": "#009E73", "Adam": "#CC79A7"}
DASHES = {"SGD": "-", "momentum": "--", "RMSprop": "-.", "Adam": (0, (4, 1, 1, 1, 1, 1))}
MARKERS = {"SGD": "o", "momentum": "s", "RMSprop": "^", "Adam": "D"}
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 90})


def optimizer(name, rate):
    """Return the named optimizer, with running means over about ten steps."""
    return {
        "SGD": lambda: SGD(rate),
        # The velocity sums about ten gradients, so a tenth of the rate gives steps of equal size.
        "momentum": lambda: SGD(rate / 10, momentum=0.9),
        "RMSprop": lambda: RMSprop(rate),
        "Adam": lambda: Adam(rate),
    }[name]()


def path(optimizer, gradient, start, n_steps):
    """Return all points of a run, shape (n_steps + 1, *start.shape)."""
    theta = np.array(start, float).ravel()
    state = optimizer.init(theta)
    points = [theta.copy()]
    # Runs overflow if their rate is too high.
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_steps):
            optimizer.step(theta, gradient(theta.reshape(np.shape(start))).ravel(), state)
            points.append(theta.copy())
    return np.reshape(points, (n_steps + 1, *np.shape(start)))


# %%
# Adam contains both
# ------------------
# Adam keeps a running mean of the gradients, :math:`m`, and a running mean of their squares,
# :math:`v`, and divides :math:`m` by the square root of :math:`v`. Kingma and Ba (2015) initialize
# both at zero and correct the resulting bias. Without the mean of the gradients
# (:math:`\beta_1 = 0`), Adam reduces to RMSprop. Without the division (:math:`\epsilon` so large
# that :math:`v` does not matter), it reduces to momentum. Both reductions are checked here on
# random gradients. Factors on the learning rate undo the bias correction.

rng = np.random.default_rng(0)
gradients = rng.normal(size=(100, 50)) * np.logspace(-3, 3, 50)


def follow(optimizer, factor=lambda t: 1.0):
    """Return the final point of an optimizer that receives these gradients."""
    theta = np.zeros(50)
    state = optimizer.init(theta)
    for t, g in enumerate(gradients, start=1):
        optimizer.step(theta, g, state, factor(t))
    return theta


without_mean = follow(Adam(0.01, beta_1=0, epsilon=1e-30), lambda t: 1 / np.sqrt(1 - 0.999**t))
rmsprop = follow(RMSprop(0.01, rho=0.999, epsilon=1e-30))
without_division = follow(Adam(0.01 * 1e30, epsilon=1e30), lambda t: 1 - 0.9**t)
momentum = follow(SGD(0.01 * 0.1, momentum=0.9))
for name, ours, other in [
    ("beta_1 = 0 is RMSprop", without_mean, rmsprop),
    ("a huge epsilon is momentum", without_division, momentum),
]:
    difference = abs(ours - other).max() / abs(other).max()
    print(f"{name}: largest relative difference {difference:.0e}")
    assert difference < 1e-9

# %%
# **Holds**: Adam combines the two, up to rounding.
#
# Shallow minima
# --------------
# The valley slopes down to the right, with one dent on the way. Runs start at 200 random points on
# the left, each at several learning rates. The step of plain gradient descent is proportional to
# the slope, so it stops in the dent. A run with momentum still has velocity there and can move on.


def valley(x, y, depth):
    """Return the height: a parabola around (3, 0), with a dent at (-1, 0)."""
    return 0.1 * (x - 3) ** 2 + y**2 - depth * np.exp(-2 * (x + 1) ** 2)


def valley_gradient(depth):
    def gradient(points):
        x, y = points[..., 0], points[..., 1]
        dent = 4 * (x + 1) * depth * np.exp(-2 * (x + 1) ** 2)
        return np.stack([0.2 * (x - 3) + dent, 2 * y], axis=-1)

    return gradient


STARTS = np.stack([rng.uniform(-4, -2, 200), rng.uniform(-1, 1, 200)], axis=-1)
DEPTHS = np.linspace(0, 3, 13)


# None of these rates is high enough to jump over the dent in one step.
GENTLE = [0.02, 0.05, 0.1, 0.2]


def passing(name, depth, rates=GENTLE):
    """Return the fraction of runs that end beyond the dent."""
    ends = [
        path(optimizer(name, rate), valley_gradient(depth), STARTS, 3000)[-1, :, 0]
        for rate in rates
    ]
    return np.mean(np.array(ends) > 1)


SHARES = {name: np.array([passing(name, depth) for depth in DEPTHS]) for name in COLORS}

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
grid = np.meshgrid(np.linspace(-4, 4.5, 120), np.linspace(-1.6, 1.6, 80))
axes[0].contour(*grid, valley(*grid, 1.0), levels=25, colors="0.8", linewidths=0.8)
for i, name in enumerate(COLORS):
    run = path(optimizer(name, 0.1), valley_gradient(1.0), [-3.5, 1.4 - 0.15 * i], 400)
    style = {"color": COLORS[name], "ls": DASHES[name], "label": name}
    axes[0].plot(*run.T, marker=MARKERS[name], markevery=[-1], ms=8, **style)
    axes[1].plot(DEPTHS, 100 * SHARES[name], marker=MARKERS[name], ms=5, **style)
axes[0].set(
    title="400 steps at rate 0.1, dent 1 deep", xlabel="first parameter", ylabel="second parameter"
)
axes[1].set(title="Runs that pass the dent", xlabel="depth of the dent", ylabel="runs (%)")
axes[1].legend()

print("fraction of runs that pass a dent of depth")
print("          " + "".join(f"{depth:7.1f}" for depth in DEPTHS))
for name, shares in SHARES.items():
    print(f"{name:10}" + "".join(f"{share:7.2f}" for share in shares))

# %%
# **Holds for shallow minima.** Plain descent and RMSprop do not pass any dent that is a local
# minimum (from a depth of 0.8). Momentum passes shallow dents at half of the rates, and at fewer
# rates as the dent gets deeper. Adam has the same velocity but divides it by the size of the last
# gradients, which were large on the way down, so slightly shallower dents trap it. All four are
# trapped by a deep minimum. :doc:`plot_hyperparameters` examines whether such minima matter for a
# network.

shallow, deep = np.searchsorted(DEPTHS, 1.0), -1
assert SHARES["SGD"][shallow] == SHARES["RMSprop"][shallow] == 0
assert min(SHARES["momentum"][shallow], SHARES["Adam"][shallow]) > 0.1
assert all(shares[deep] < 0.02 for shares in SHARES.values())

# %%
# Parameters of different sensitivity
# -----------------------------------
# If a bowl is a hundred times as steep along one axis as along the other, a single rate is too high
# for one axis or too low for the other. Each optimizer uses its best rate out of 26. Its result is
# the number of steps after which the distance from the minimum stays below a hundredth of the
# initial distance. The experiment is then repeated with the bowl rotated by 45 degrees.

ANGLES = {"along the axes": 0.0, "rotated by 45°": np.pi / 4}


def bowl_gradient(angle, curvatures=(1.0, 100.0)):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    H = turn @ np.diag(curvatures) @ turn.T
    return lambda points: points @ H


def steps_needed(run, goal=0.01):
    """Return the first step after which the run stays within the goal, or inf."""
    outside = ~(abs(run).max(axis=-1) <= goal * abs(run[0]).max())
    last = np.flatnonzero(outside)[-1] + 1
    return last if last < len(run) else np.inf


def best(name, gradient, start, n_steps=1500):
    """Return (steps, rate, run) of the best rate."""
    runs = []
    for rate in np.logspace(-4, 1, 26):
        run = path(optimizer(name, rate), gradient, start, n_steps)
        runs.append((steps_needed(run), rate, run))
    return min(runs, key=lambda result: result[:2])


BEST_RUNS = {}
for bowl, angle in ANGLES.items():
    start = 1.9 * np.array([np.cos(angle + 0.8), np.sin(angle + 0.8)])
    for name in COLORS:
        BEST_RUNS[bowl, name] = best(name, bowl_gradient(angle), start)
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for axis, (bowl, angle) in zip(axes, ANGLES.items(), strict=True):
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 90), np.linspace(-2, 2, 90)), axis=-1)
    height = (grid * bowl_gradient(angle)(grid)).sum(axis=-1) / 2
    axis.contour(*np.moveaxis(grid, -1, 0), height**0.5, levels=14, colors="0.8", linewidths=0.8)
    for name in COLORS:
        steps, rate, run = BEST_RUNS[bowl, name]
        label = f"{name}: {steps:.0f} steps at {rate:.2g}"
        axis.plot(*run[:60].T, color=COLORS[name], ls=DASHES[name], lw=1.3, label=label)
    axis.set(title=bowl, xlabel="first parameter", ylabel="second parameter")
    axis.set(xlim=(-2, 2), ylim=(-2, 2))
    axis.legend(loc="lower left", fontsize="small")
figure.suptitle("A bowl with condition number 100: the first 60 steps at the best rate")
print("steps to a hundredth of the distance, best of 26 rates")
for bowl in ANGLES:
    print(f"  {bowl:15}", {name: int(BEST_RUNS[bowl, name][0]) for name in COLORS})

# %%
# **Partly.** If the steep direction is a parameter axis, RMSprop needs fewer steps than plain
# descent. The paths show the reason: RMSprop advances along both axes at once, while plain descent
# jumps back and forth across the valley. In the rotated bowl, per-parameter rates do not help, and
# RMSprop needs more steps than plain descent. Momentum does not depend on the orientation, and
# Adam, which combines both, is close to the best in both cases. A separate rate per parameter is
# therefore useful to the extent that the parameters themselves differ, such as the weights of rare
# and frequent words.

along, rotated = ANGLES
steps = {key: result[0] for key, result in BEST_RUNS.items()}
assert steps[along, "RMSprop"] < 0.9 * steps[along, "SGD"]
assert steps[rotated, "RMSprop"] > steps[rotated, "SGD"]
for bowl in ANGLES:
    assert steps[bowl, "Adam"] < 0.5 * steps[bowl, "SGD"]
    assert steps[bowl, "momentum"] < 0.5 * steps[bowl, "SGD"]

# %%
# One rate for losses of any scale
# --------------------------------
# The first step of Adam is :math:`\eta\, g / |g|`. In each parameter it has the size of the
# learning rate and does not depend on the size of the gradient. Multiplying the loss by a thousand,
# as a change of units would, does not change the path either.

for name in COLORS:
    gradient, start = bowl_gradient(0), np.array([1.0, 1.0])
    rate = 0.015
    run = path(optimizer(name, rate), gradient, start, 200)
    other = path(optimizer(name, rate), lambda points, g=gradient: 1000 * g(points), start, 200)
    change = np.nanmax(abs(other - run))
    print(f"{name:9} first step {abs(run[1] - run[0])}, loss x 1000 moves the path by {change:.1e}")
    if name == "Adam":
        np.testing.assert_allclose(abs(run[1] - run[0]), rate, rtol=1e-6)
        assert change < 1e-6
    if name in ("SGD", "momentum"):
        assert not change < 1e6

# %%
# **Holds**: a rate of 0.001 means the same for every loss, so one starting value suits many
# problems. RMSprop is equally insensitive to the scale of the loss. Its first step is three times
# as long, because its running mean of squares starts at zero and is not corrected.
#
# Noise
# -----
# The gradient of a minibatch is the full gradient plus noise. Here the bowl is round, and the noise
# is as large as the gradient at a distance of 1. Two quantities are measured at equal rates over
# 200 runs: the mean cosine between successive updates, and the root mean square distance from the
# minimum in the second half of the run.


def noisy(seed):
    rng = np.random.default_rng(seed)
    return lambda points: points + rng.normal(size=points.shape)


def restlessness(name, rate, n_steps=3000):
    """Return the mean cosine of successive updates, and the final distance."""
    runs = path(optimizer(name, rate), noisy(1), np.full((200, 2), 1.0), n_steps)[n_steps // 2 :]
    moves = np.diff(runs, axis=0)
    cosine = (moves[1:] * moves[:-1]).sum(axis=-1)
    cosine /= np.linalg.norm(moves[1:], axis=-1) * np.linalg.norm(moves[:-1], axis=-1)
    return cosine.mean(), np.sqrt((runs**2).sum(axis=-1).mean())


RESTLESS = {name: restlessness(name, 0.03) for name in COLORS}
figure, axis = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for name in COLORS:
    run = path(optimizer(name, 0.03), noisy(3), [2.0, 2.0], 250)
    cosine, distance = RESTLESS[name]
    label = f"{name}: cosine {cosine:.2f}, {distance:.2f} away"
    axis.plot(*run.T, color=COLORS[name], ls=DASHES[name], lw=1.2, label=label)
axis.plot(0, 0, "k+", ms=12, mew=2)
axis.set(title="250 steps with noisy gradients, rate 0.03")
axis.set(xlabel="first parameter", ylabel="second parameter")
axis.legend(loc="lower right", fontsize="small")
for name, (cosine, distance) in RESTLESS.items():
    print(f"{name:9} cosine of successive updates {cosine:5.2f}, final distance {distance:.3f}")

# %%
# **Holds for the updates, not for the outcome.** Momentum and Adam do smooth the updates: each
# update has nearly the same direction as the previous one, while the updates of plain descent and
# RMSprop are as random as the noise. At equal rates, however, all four stay equally far from the
# minimum. To average out the noise there, use a lower learning rate, larger batches or weight
# averaging (``averaging="ema"``).

for name in ("momentum", "Adam"):
    assert RESTLESS[name][0] > 0.7
for name in ("SGD", "RMSprop"):
    assert abs(RESTLESS[name][0]) < 0.1
distances = [distance for _, distance in RESTLESS.values()]
assert max(distances) < 1.15 * min(distances)

# %%
# Summary
# -------
# ================================================  ===============================================
# claim                                             result
# ================================================  ===============================================
# Adam combines momentum and RMSprop                holds, up to rounding
# momentum avoids getting stuck in shallow minima   holds, but not for deep minima
# each parameter gets its own rate, which helps     partly: not if the parameters interact
# momentum smooths out the updates                  holds, but the final noise is the same
# less tuning: one rate for losses of any scale     holds
# ================================================  ===============================================

plt.show()
