"""Write the reference ("golden") numbers for the tests of sknn_adam.

Every expected value is returned by torch, optax or SciPy. This script neither imports sknn_adam nor
implements any update rule. It writes JSON files to its folder. The tests read only these files, so
they need none of the three libraries. To regenerate the files:

    python3.11 -m venv /tmp/golden && . /tmp/golden/bin/activate
    pip install torch==2.13.0 && pip install jax==0.10.2 optax==0.2.8 scipy numpy
    python tests/golden/make_golden.py

All computations are in float64. The optimizers minimize a non-convex function of theta, a vector of
29 numbers (a matrix W of 24 entries, raveled in C order, followed by a vector b of 5 entries):

    f(x)    = sum_i [sin(2 x_i) + 0.5 x_i^2 + 0.025 x_i^4] + 0.3 sum_i x_i x_{i+1}
    df/dx_i = 2 cos(2 x_i) + x_i + 0.1 x_i^3 + 0.3 (x_{i-1} + x_{i+1})

The second sum has 28 terms, and neighbours outside of the vector count as 0. This script computes
the gradient by automatic differentiation. Tests in NumPy use the closed form.

README.md in the same folder describes the JSON files and their conventions.
"""

import json
import platform
import textwrap
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy
import scipy.special
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
STEPS = (1, 2, 3, 10, 50, 100)
SIZE_W, SIZE_B = 24, 5
START = np.random.default_rng(0).normal(size=SIZE_W + SIZE_B)
JITTER = 1e-14 * np.random.default_rng(4).choice([-1.0, 1.0], (max(STEPS), SIZE_W + SIZE_B))


# ---------------------------------------------------------------- writing JSON


def plain(value):
    """Convert tensors, arrays and NumPy scalars to plain Python objects."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, jax.Array):
        value = np.asarray(value)
    if isinstance(value, (np.ndarray, np.generic)):
        assert value.dtype.kind in "biu" or value.dtype == np.float64, value.dtype
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def pretty(value, indent=0):
    """Return JSON text with lists of scalars wrapped at 100 columns."""
    pad = " " * (indent + 1)
    if isinstance(value, dict) and value:
        rows = [f"{pad}{json.dumps(key)}: {pretty(value[key], indent + 1)}" for key in value]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        rows = [pad + pretty(item, indent + 1) for item in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    # json writes floats by repr, so no precision is lost.
    text = json.dumps(value, allow_nan=False)
    if isinstance(value, list) and not any(isinstance(item, str) for item in value):
        return "\n".join(
            textwrap.wrap(
                text, 100, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
            )
        )
    return text


def write(name, content):
    meta = {
        "generator": "tests/golden/make_golden.py",
        "versions": {
            "torch": torch.__version__,
            "jax": jax.__version__,
            "optax": optax.__version__,
            "scipy": scipy.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "dtype": "float64",
    }
    content = plain({"meta": meta, **content})
    text = pretty(content) + "\n"
    assert json.loads(text) == content
    (HERE / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(text) / 1000:.0f} kB")


# ---------------------------------------------------------------- optimizers

ADAM = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
RMSPROP = {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-8, "momentum": 0.0, "centered": False}
FAST, FAST_BETAS = {"learning_rate": 0.01}, {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95}
DECAYED = {"learning_rate": 0.01, "weight_decay": 0.1}

# (our class, its parameters, torch.optim class, further torch arguments, list of changed parameters
# with one dict per run)
TORCH_RUNS = [
    (
        "SGD",
        {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
        "SGD",
        {},
        [
            {},
            {"learning_rate": 0.1},
            {"momentum": 0.9},
            {"learning_rate": 0.1, "momentum": 0.9},
            {"momentum": 0.9, "nesterov": True},
            {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        ],
    ),
    (
        "RMSprop",
        RMSPROP,
        "RMSprop",
        {},
        [
            {},
            FAST,
            {"epsilon": 0.01},
            {"centered": True},
            {**FAST, "centered": True},
            {"momentum": 0.9},
            {**FAST, "momentum": 0.9},
            {"centered": True, "momentum": 0.9},
            {**FAST, "centered": True, "momentum": 0.9, "epsilon": 0.01},
        ],
    ),
    (
        "Adagrad",
        {"learning_rate": 0.01, "epsilon": 1e-10, "initial_accumulator_value": 0.0},
        "Adagrad",
        {},
        [
            {},
            {"learning_rate": 0.1},
            {"initial_accumulator_value": 0.1},
            {"learning_rate": 0.1, "initial_accumulator_value": 0.1, "epsilon": 0.01},
        ],
    ),
    (
        "Adadelta",
        {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6},
        "Adadelta",
        {},
        [{}, {"learning_rate": 10.0}, {"epsilon": 0.001}],
    ),
    (
        "Adam",
        ADAM,
        "Adam",
        {},
        [{}, FAST, {"epsilon": 0.01}, {"beta_1": 0.8, "beta_2": 0.95}, FAST_BETAS],
    ),
    (
        "AMSGrad",
        ADAM,
        "Adam",
        {"amsgrad": True},
        [{}, FAST, {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.01}],
    ),
    (
        "AdamW",
        {**ADAM, "weight_decay": 0.01},
        "AdamW",
        {},
        [{}, FAST, {"weight_decay": 0.1}, DECAYED],
    ),
    (
        "Adamax",
        ADAM,
        "Adamax",
        {},
        [{}, {"learning_rate": 0.002}, FAST, {**FAST_BETAS, "epsilon": 0.1}],
    ),
    (
        "NAdam",
        {**ADAM, "momentum_decay": 0.004},
        "NAdam",
        {},
        [
            {},
            {"learning_rate": 0.002},
            FAST,
            {**FAST_BETAS, "epsilon": 0.01},
            {**FAST, "momentum_decay": 0.1},
        ],
    ),
    ("RAdam", ADAM, "RAdam", {}, [{}, FAST, {**FAST_BETAS, "epsilon": 0.01}]),
]
SCHEDULE_FREE = {
    "learning_rate": 0.0025,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
    "warmup_steps": 0,
}
MUON = {
    "learning_rate": 0.001,
    "beta": 0.95,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
    "nesterov": True,
}


def as_text(name, arguments):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def record(cls, params, change, library, call, run, shape_w=(4, 6)):
    """Return an entry of optimizers.json; run(factors) returns {step: {"theta": ..., ...}}.

    A second run estimates how much two correct implementations can differ due to rounding. In this
    run, every theta is multiplied by 1 +- 1e-14 after every step.
    """
    decay = params.get("weight_decay", 0.0)
    trace, moved = plain(run(np.ones_like(JITTER))), plain(run(1.0 + JITTER))
    noise = {}
    for key in trace["1"]:
        gaps = [np.abs(np.subtract(trace[t][key], moved[t][key])).max() for t in trace]
        noise[key] = [float(f"{gap:.1e}") for gap in gaps]
    return {
        "name": as_text(cls, {**change, **({} if shape_w == (4, 6) else {"W": shape_w})}),
        "class": cls,
        "params": params,
        "library": library,
        "reference": call,
        "shape_W": shape_w,
        "shape_b": (SIZE_B,),
        "decay": {"value": decay, "decoupled": True, "on": "W only"} if decay else None,
        "steps": trace,
        "noise": noise,
    }


def torch_objective(x):
    return (torch.sin(2 * x) + 0.5 * x**2 + 0.025 * x**4).sum() + 0.3 * (x[:-1] * x[1:]).sum()


def torch_arguments(cls, params):
    """Translate our parameter names to those of torch.optim."""
    names = {"learning_rate": "lr", "epsilon": "eps"}
    if cls == "RMSprop":
        names["rho"] = "alpha"
    out = {names.get(k, k): v for k, v in params.items() if k not in ("beta_1", "beta_2")}
    if "beta_1" in params:
        out["betas"] = (params["beta_1"], params["beta_2"])
    return out


def run_torch(cls, params, name, further, change):
    params = {**params, **change}
    arguments = {**torch_arguments(cls, params), **further, "foreach": False}
    groups_text = "[W, b]"
    if "weight_decay" in params:
        groups_text = "[{'params': [W]}, {'params': [b], 'weight_decay': 0.0}]"

    def run(factors):
        weight = torch.tensor(START[:SIZE_W].reshape(4, 6), requires_grad=True)
        bias = torch.tensor(START[SIZE_W:], requires_grad=True)
        groups = [weight, bias]
        if "weight_decay" in params:
            groups = [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
        optimizer = getattr(torch.optim, name)(groups, **arguments)
        trace = {}
        for step, factor in enumerate(torch.tensor(factors), 1):
            optimizer.zero_grad()
            torch_objective(torch.cat([weight.ravel(), bias])).backward()
            optimizer.step()
            if step in STEPS:
                trace[step] = {"theta": torch.cat([weight.ravel(), bias])}
            with torch.no_grad():
                weight.mul_(factor[:SIZE_W].reshape(4, 6))
                bias.mul_(factor[SIZE_W:])
        return trace

    call = as_text(f"torch.optim.{name}", arguments).replace("(", f"({groups_text}, ", 1)
    return record(cls, params, change, f"torch {torch.__version__}", call, run)


def jax_objective(x):
    return jnp.sum(jnp.sin(2 * x) + 0.5 * x**2 + 0.025 * x**4) + 0.3 * jnp.sum(x[:-1] * x[1:])


def run_optax(cls, params, change, build, shape_w=(4, 6), flat=False):
    """Return an entry; build(params) returns (transformation, call as text, values to record)."""
    params = {**params, **change}
    transformation, call, keep = build(params)

    def to_flat(tree):
        return tree["theta"] if flat else jnp.concatenate([tree["W"].ravel(), tree["b"]])

    def to_tree(theta):
        if flat:
            return {"theta": theta}
        return {"W": theta[:SIZE_W].reshape(shape_w), "b": theta[SIZE_W:]}

    @jax.jit
    def one_step(tree, state):
        gradient = jax.grad(lambda t: jax_objective(to_flat(t)))(tree)
        updates, state = transformation.update(gradient, state, tree)
        return optax.apply_updates(tree, updates), state

    def run(factors):
        tree = to_tree(jnp.asarray(START))
        state = transformation.init(tree)
        trace = {}
        for step, factor in enumerate(factors, 1):
            tree, state = one_step(tree, state)
            if step in STEPS:
                trace[step] = {
                    "theta": to_flat(tree),
                    **{name: get(state, tree, to_flat) for name, get in keep.items()},
                }
            tree = to_tree(to_flat(tree) * factor)
        return trace

    return record(cls, params, change, f"optax {optax.__version__}", call, run, shape_w)


def build_lion(p):
    arguments = {
        "learning_rate": p["learning_rate"],
        "b1": p["beta_1"],
        "b2": p["beta_2"],
        "weight_decay": p["weight_decay"],
        "mask": {"W": True, "b": False},
    }
    return optax.lion(**arguments), as_text("optax.lion", arguments), {}


def build_adabelief(p):
    arguments = {
        "learning_rate": p["learning_rate"],
        "b1": p["beta_1"],
        "b2": p["beta_2"],
        "eps": p["epsilon"],
        "eps_root": p["epsilon"],
    }
    return optax.adabelief(**arguments), as_text("optax.adabelief", arguments), {}


def build_prodigy(p):
    # prodigy does not support a decay mask. Therefore the parameters are one flat vector, with one
    # decay rate per entry.
    decay = p["weight_decay"]
    rates = jnp.asarray([decay] * SIZE_W + [0.0] * SIZE_B)
    arguments = {
        "learning_rate": p["learning_rate"],
        "betas": (p["beta_1"], p["beta_2"]),
        "beta3": None,
        "eps": p["epsilon"],
        "estim_lr0": 1e-6,
        "estim_lr_coef": 1.0,
        "safeguard_warmup": False,
    }
    call = as_text("optax.contrib.prodigy", arguments)
    if decay:
        arguments["weight_decay"] = rates
        call = call[:-1] + f", weight_decay=jnp.array([{decay}] * 24 + [0.0] * 5))"
    return (
        optax.contrib.prodigy(**arguments),
        call + " on theta as one flat vector",
        {"d": lambda state, tree, to_flat: state.estim_lr},
    )


def build_schedule_free(p):
    rate, decay, warmup = p["learning_rate"], p["weight_decay"], p["warmup_steps"]
    keep = {
        "x_eval": lambda state, tree, to_flat: to_flat(
            optax.contrib.schedule_free_eval_params(state, tree)
        )
    }
    if not decay and not warmup:
        arguments = {
            "learning_rate": rate,
            "warmup_steps": None,
            "b1": p["beta_1"],
            "b2": p["beta_2"],
            "eps": p["epsilon"],
            "weight_decay": 0.0,
        }
        return (
            optax.contrib.schedule_free_adamw(**arguments),
            as_text("optax.contrib.schedule_free_adamw", arguments),
            keep,
        )
    # schedule_free_adamw does not support a decay mask, so it is assembled from its components. Its
    # warmup schedule gets an int32 count and would return float32 even in x64 mode, so the count is
    # cast.
    lr = repr(rate)
    if warmup:
        schedule = optax.warmup_constant_schedule(0.0, rate, warmup)
        lr = f"optax.warmup_constant_schedule(0.0, {rate}, {warmup}) of the count in float64"

        def rate(count):
            return schedule(jnp.asarray(count, jnp.float64))

    base = optax.chain(
        optax.scale_by_rms(
            decay=p["beta_2"], eps=p["epsilon"], eps_in_sqrt=False, bias_correction=True
        ),
        optax.add_decayed_weights(decay, {"W": True, "b": False}),
        optax.scale_by_learning_rate(rate),
    )
    call = (
        f"optax.contrib.schedule_free(optax.chain(optax.scale_by_rms(decay={p['beta_2']}, "
        f"eps={p['epsilon']}, eps_in_sqrt=False, bias_correction=True), "
        f"optax.add_decayed_weights({decay}, {{'W': True, 'b': False}}), "
        f"optax.scale_by_learning_rate(lr)), learning_rate=lr, b1={p['beta_1']}, "
        f"weight_lr_power=2.0) with lr = {lr}"
    )
    return optax.contrib.schedule_free(base, rate, p["beta_1"], 2.0), call, keep


def muon_arguments(p):
    return {
        "learning_rate": p["learning_rate"],
        "ns_steps": 5,
        "beta": p["beta"],
        "eps": p["epsilon"],
        "weight_decay": p["weight_decay"],
        "nesterov": p["nesterov"],
        "adam_b1": 0.9,
        "adam_b2": 0.999,
        "adam_eps_root": 0.0,
        "adam_weight_decay": 0.0,
    }


def build_muon(p):
    arguments = muon_arguments(p)
    return optax.contrib.muon(**arguments), as_text("optax.contrib.muon", arguments), {}


def build_muon_plain_adam(p):
    """Build Muon for W and plain Adam for b, a choice that optax.contrib.muon does not support."""
    arguments = muon_arguments(p)
    adam = {"learning_rate": p["learning_rate"], "b1": 0.9, "b2": 0.999, "eps": p["epsilon"]}
    call = (
        f"optax.partition({{'m': {as_text('optax.contrib.muon', arguments)}, "
        f"'a': {as_text('optax.adam', adam)}}}, {{'W': 'm', 'b': 'a'}})"
    )
    halves = {"m": optax.contrib.muon(**arguments), "a": optax.adam(**adam)}
    return optax.partition(halves, {"W": "m", "b": "a"}), call, {}


def optax_entries():
    lion = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.0}
    for change in [{}, FAST, {"weight_decay": 0.01}, {**FAST, "weight_decay": 0.1}]:
        yield run_optax("Lion", lion, change, build_lion)
    belief = {**ADAM, "epsilon": 1e-16}
    for change in [{}, FAST, {"beta_1": 0.8, "beta_2": 0.95}, {**FAST, "epsilon": 0.0001}]:
        yield run_optax("AdaBelief", belief, change, build_adabelief)
    fast = {"learning_rate": 0.025}
    for change in [
        {},
        fast,
        {"weight_decay": 0.01},
        {"warmup_steps": 10},
        {"weight_decay": 0.01, "warmup_steps": 10},
        {**fast, "epsilon": 0.01},
        {**fast, "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1, "warmup_steps": 10},
    ]:
        yield run_optax("ScheduleFreeAdamW", SCHEDULE_FREE, change, build_schedule_free)
    prodigy = {**ADAM, "learning_rate": 1.0, "weight_decay": 0.0}
    for change in [
        {},
        {"weight_decay": 0.01},
        {"learning_rate": 0.5, "weight_decay": 0.1},
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.1},
    ]:
        yield run_optax("Prodigy", prodigy, change, build_prodigy, flat=True)
    tall = (6, 4)
    for change, shape in [
        ({}, (4, 6)),
        (FAST, (4, 6)),
        ({"weight_decay": 0.01}, (4, 6)),
        ({"nesterov": False}, (4, 6)),
        ({**FAST, "nesterov": False}, (4, 6)),
        ({"weight_decay": 0.01, "nesterov": False}, (4, 6)),
        (FAST, tall),
        ({**DECAYED, "epsilon": 0.01, "nesterov": False}, tall),
    ]:
        entry = run_optax("Muon", MUON, change, build_muon, shape)
        adam = "AdamW with Nesterov" if entry["params"]["nesterov"] else "Adam"
        yield {**entry, "b_by": adam}
    for change in [{}, FAST]:
        entry = run_optax("Muon", MUON, change, build_muon_plain_adam)
        yield {**entry, "name": entry["name"] + " b by plain Adam", "b_by": "Adam"}


def optimizers():
    configs = [
        run_torch(cls, params, name, further, change)
        for cls, params, name, further, changes in TORCH_RUNS
        for change in changes
    ]
    configs += optax_entries()
    names = [config["name"] for config in configs]
    assert len(set(names)) == len(names)
    start = torch.tensor(START, requires_grad=True)
    value = torch_objective(start)
    value.backward()
    formulas = [line.strip() for line in __doc__.splitlines() if " = " in line and "_i" in line]
    problem = {
        "formulas": formulas,
        "layout": "theta = concat(W.ravel(), b)",
        "theta0": START,
        "f0": value,
        "gradient0": start.grad,
    }
    write("optimizers.json", {"problem": problem, "configs": configs})


# ---------------------------------------------------------------- activations


def activations():
    grid = np.concatenate([[-100.0, -30.0], np.linspace(-60, 60, 41).round() / 10, [30.0, 100.0]])
    slope = torch.tensor([0.25], requires_grad=True)
    # name: (function, its call as text, whether it has a kink at 0)
    functions = {
        "sigmoid": (torch.sigmoid, "torch.sigmoid(x)", False),
        "tanh": (torch.tanh, "torch.tanh(x)", False),
        "relu": (F.relu, "F.relu(x)", True),
        "leaky_relu": (lambda x: F.leaky_relu(x, 0.01), "F.leaky_relu(x, 0.01)", True),
        "prelu": (lambda x: F.prelu(x, slope), "F.prelu(x, [0.25])", True),
        "elu": (lambda x: F.elu(x, 1.0), "F.elu(x, 1.0)", False),
        "selu": (F.selu, "F.selu(x)", True),
        "gelu": (F.gelu, "F.gelu(x, approximate='none')", False),
        "silu": (F.silu, "F.silu(x)", False),
        "mish": (F.mish, "F.mish(x)", False),
        "softplus": (
            lambda x: F.softplus(x, threshold=500.0),
            "F.softplus(x, threshold=500.0)",
            False,
        ),
    }
    out = {}
    for name, (function, text, kink) in functions.items():
        x = torch.tensor(grid[grid != 0] if kink else grid, requires_grad=True)
        y = function(x)
        (derivative,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
        out[name] = {"reference": text, "x": x, "value": y, "derivative": derivative}
        if name == "prelu":
            out[name]["slope"] = slope
            out[name]["derivative_slope"] = [
                torch.autograd.grad(item, slope, retain_graph=True)[0].item() for item in y
            ]
        # torch computes 1 + erf, which cancels for large negative x, so its value loses all digits.
        if name == "gelu":
            out[name]["gaussian_cdf_scipy"] = scipy.special.ndtr(x.detach().numpy())
    write("activations.json", {"activations": out})


# ---------------------------------------------------------------- normalization


def normalization():
    rng = np.random.default_rng(1)
    data = {
        "x": rng.normal(1.0, 2.0, size=(8, 5)) * [1.0, 0.1, 5.0, 1.0, 2.0],
        "weight": rng.normal(1.0, 0.5, size=5),
        "bias": rng.normal(size=5),
        "upstream": rng.normal(size=(8, 5)),
    }
    mean, var = torch.full((5,), 0.5), torch.full((5,), 2.0)
    calls = {
        "batch_norm": (
            lambda x, w, b: F.batch_norm(x, mean, var, w, b, training=True, momentum=0.1, eps=1e-5),
            "F.batch_norm(x, running_mean, running_var, weight, bias, training=True, "
            "momentum=0.1, eps=1e-5)",
        ),
        "layer_norm": (
            lambda x, w, b: F.layer_norm(x, (5,), w, b, eps=1e-5),
            "F.layer_norm(x, (5,), weight, bias, eps=1e-5)",
        ),
        "rms_norm": (
            lambda x, w, b: F.rms_norm(x, (5,), w, eps=1e-5),
            "F.rms_norm(x, (5,), weight, eps=1e-5)",
        ),
    }
    out = {}
    for name, (call, text) in calls.items():
        x, w, b = (torch.tensor(data[key], requires_grad=True) for key in ("x", "weight", "bias"))
        if name == "batch_norm":
            running = {"running_mean_before": mean.clone(), "running_var_before": var.clone()}
        y = call(x, w, b)
        y.backward(torch.tensor(data["upstream"]))
        out[name] = {"reference": text, "output": y, "grad_x": x.grad, "grad_weight": w.grad}
        if b.grad is not None:
            out[name]["grad_bias"] = b.grad
        if name == "batch_norm":
            out[name].update(running, running_mean_after=mean, running_var_after=var)
            out[name]["output_eval_after"] = F.batch_norm(
                x, mean, var, w, b, training=False, eps=1e-5
            )
    write("normalization.json", {**data, **out})


# ---------------------------------------------------------------- losses


def torch_loss(call, text, z, y):
    z = torch.tensor(z, requires_grad=True)
    rows = call(z, torch.tensor(y))
    rows.sum().backward()
    assert rows.shape == (7,)
    return {"reference": text, "z": z, "y": y, "rows": rows, "grad_z": z.grad}


def focal_loss(alpha, z, y):
    def rows(z):
        return optax.losses.sigmoid_focal_loss(z, jnp.asarray(y), alpha=alpha, gamma=2.0)

    return {
        "reference": f"optax.losses.sigmoid_focal_loss(z, y, alpha={alpha}, gamma=2.0)",
        "z": z,
        "y": y,
        "rows": rows(jnp.asarray(z)),
        "grad_z": jax.grad(lambda z: rows(z).sum())(jnp.asarray(z)),
    }


def losses():
    rng = np.random.default_rng(2)
    classes = rng.normal(scale=2.0, size=(7, 4))
    # One sample has large raw outputs to test numerical stability.
    classes[5] *= 20.0
    labels = np.array([0, 1, 2, 3, 1, 0, 2])
    binary = np.array([-30.0, -2.5, -0.3, 0.0, 0.7, 3.1, 30.0])
    binary_y = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    multi, multi_y = rng.normal(scale=3.0, size=(7, 3)), rng.integers(0, 2, size=(7, 3)) * 1.0
    real = rng.normal(size=7)
    real_y = real + [0.1, -0.2, 0.7, -0.8, 1.5, -3.0, 10.0]
    gauss = np.column_stack([real, rng.normal(scale=1.5, size=7)])
    counts = np.array([0.0, 1.0, 2.0, 0.0, 5.0, 3.0, 11.0])

    def gaussian(full):
        return (
            lambda z, y: F.gaussian_nll_loss(
                z[:, 0], y, torch.exp(z[:, 1]), full=full, reduction="none"
            ),
            f"F.gaussian_nll_loss(z[:, 0], y, exp(z[:, 1]), full={full}, reduction='none')",
        )

    out = {
        "cross_entropy": torch_loss(
            lambda z, y: F.cross_entropy(z, y, reduction="none"),
            "F.cross_entropy(z, y, reduction='none')",
            classes,
            labels,
        ),
        "cross_entropy_smoothed": torch_loss(
            lambda z, y: F.cross_entropy(z, y, reduction="none", label_smoothing=0.1),
            "F.cross_entropy(z, y, reduction='none', label_smoothing=0.1)",
            classes,
            labels,
        ),
        "binary_cross_entropy": torch_loss(
            lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
            "F.binary_cross_entropy_with_logits(z, y, reduction='none')",
            binary,
            binary_y,
        ),
        "multilabel_cross_entropy": torch_loss(
            lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(dim=1),
            "F.binary_cross_entropy_with_logits(z, y, reduction='none').sum(dim=1)",
            multi,
            multi_y,
        ),
        "gaussian_nll": torch_loss(*gaussian(False), gauss, real_y),
        "gaussian_nll_full": torch_loss(*gaussian(True), gauss, real_y),
        "poisson_nll": torch_loss(
            lambda z, y: F.poisson_nll_loss(z, y, log_input=True, full=False, reduction="none"),
            "F.poisson_nll_loss(z, y, log_input=True, full=False, reduction='none')",
            real,
            counts,
        ),
        "focal": focal_loss(None, binary, binary_y),
        "focal_alpha_0.25": focal_loss(0.25, binary, binary_y),
    }
    for delta in (1.0, 0.5):
        out[f"huber_delta_{delta}"] = torch_loss(
            lambda z, y, delta=delta: F.huber_loss(z, y, reduction="none", delta=delta),
            f"F.huber_loss(z, y, reduction='none', delta={delta})",
            real,
            real_y,
        )
    write("losses.json", {"losses": out})


# ---------------------------------------------------------------- schedules


def schedules():
    calls = [
        ("cosine", "cosine_decay_schedule", {"init_value": 1.0, "decay_steps": 100}),
        (
            "exponential",
            "exponential_decay",
            {"init_value": 1.0, "transition_steps": 100, "decay_rate": 0.01},
        ),
        (
            "linear",
            "linear_schedule",
            {"init_value": 1.0, "end_value": 0.0, "transition_steps": 100},
        ),
        (
            "one_cycle",
            "cosine_onecycle_schedule",
            {
                "transition_steps": 100,
                "peak_value": 1.0,
                "pct_start": 0.3,
                "div_factor": 25.0,
                "final_div_factor": 1e4,
            },
        ),
        (
            "warmup_cosine",
            "warmup_cosine_decay_schedule",
            {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 10, "decay_steps": 100},
        ),
        (
            "step",
            "exponential_decay",
            {"init_value": 1.0, "transition_steps": 10, "decay_rate": 0.5, "staircase": True},
        ),
    ]
    out = {}
    for name, function, arguments in calls:
        schedule = getattr(optax, function)(**arguments)
        out[name] = {
            "reference": as_text(f"optax.{function}", arguments),
            "values": [float(schedule(step)) for step in range(101)],
        }
    write("schedules.json", {"steps": list(range(101)), "schedules": out})


# ---------------------------------------------------------------- complete network


def network():
    rng = np.random.default_rng(3)
    sizes = (5, 7, 6, 3)
    weights = [rng.normal(scale=0.6, size=pair) for pair in pairwise(sizes)]
    biases = [rng.normal(scale=0.3, size=size) for size in sizes[1:]]
    x, y = rng.normal(size=(9, 5)), np.array([0, 1, 2, 2, 1, 0, 1, 2, 0])
    sample_weight = np.array([1.0, 0.5, 2.0, 1.0, 0.0, 3.0, 1.5, 1.0, 0.25])
    rows_weight = torch.tensor(sample_weight)

    def start():
        return [torch.tensor(p, requires_grad=True) for p in weights + biases]

    def rows(parameters):
        (w1, w2, w3), (b1, b2, b3) = parameters[:3], parameters[3:]
        hidden = F.relu(torch.tanh(torch.tensor(x) @ w1 + b1) @ w2 + b2)
        z = hidden @ w3 + b3
        return z, F.cross_entropy(z, torch.tensor(y), reduction="none")

    def weighted_mean(parameters):
        return (rows_weight * rows(parameters)[1]).sum() / rows_weight.sum()

    def gradients(loss, parameters):
        found = torch.autograd.grad(loss, parameters)
        return {"loss": loss, "grad_weights": found[:3], "grad_biases": found[3:]}

    parameters = start()
    z, row_losses = rows(parameters)
    out = {
        "raw_output": z,
        "probabilities": torch.softmax(z, dim=1),
        "row_losses": row_losses,
        "weighted": gradients(weighted_mean(parameters), parameters),
        "unweighted": gradients(rows(parameters)[1].mean(), parameters),
    }

    arguments = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False}
    parameters = start()
    optimizer = torch.optim.Adam(parameters, **arguments)
    history = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = weighted_mean(parameters)
        history.append(loss.item())
        loss.backward()
        optimizer.step()
    out["adam"] = {
        "reference": as_text("torch.optim.Adam", arguments),
        "loss_before_step": history,
        "loss_after_last_step": weighted_mean(parameters),
        "weights_after": parameters[:3],
        "biases_after": parameters[3:],
    }
    write(
        "network.json",
        {
            "architecture": "5 -> 7 (tanh) -> 6 (relu) -> 3 (raw), weights as (fan_in, fan_out)",
            "loss": "weighted: sum(w * rows) / sum(w); unweighted: mean(rows); by cross entropy",
            "x": x,
            "y": y,
            "sample_weight": sample_weight,
            "weights": weights,
            "biases": biases,
            **out,
        },
    )


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    jax.config.update("jax_enable_x64", True)
    for make in (optimizers, activations, normalization, losses, schedules, network):
        make()


if __name__ == "__main__":
    main()
