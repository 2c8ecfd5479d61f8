"""MLPClassifier."""

from typing import Any, ClassVar, Self

from sknn_adam._estimator import typing as t
from sknn_adam._estimator.base import BaseMLP, MultilabelClassifierMixin
from sknn_adam._estimator.class_prediction import PredictsClasses
from sknn_adam._estimator.parameters import has_partial_fit
from sknn_adam._estimator.targets import Classes
from sknn_adam._utils.sklearn_compat import StrOptions, available_if, with_callbacks
from sknn_adam.losses import CLASSIFICATION_LOSSES

__all__ = ["MLPClassifier"]


class MLPClassifier(PredictsClasses, MultilabelClassifierMixin, BaseMLP):
    """Multi-layer perceptron for classification, with every part pluggable.

    Handles two or more exclusive classes, matrices of labels, and several columns of classes.
    Every part takes a name or an instance, and nested parameters work for both:
    ``optimizer="adam"`` with ``optimizer__learning_rate=0.01``. Scale the features first.

    Parameters
    ----------
    hidden_layer_sizes : int, sequence of int or str, default=(200,)
        Widths of the hidden layers: ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three
        layers of 256. ``()`` is a linear model. Strings can be searched by every search.
    activation : str, Activation or sequence of them, default="relu"
        Activation of the hidden layers, one for all or one per layer: ``"identity"``,
        ``"logistic"`` (``"sigmoid"``), ``"tanh"``, ``"relu"``, ``"leaky_relu"``, ``"prelu"``,
        ``"elu"``, ``"selu"``, ``"gelu"``, ``"silu"`` (``"swish"``), ``"mish"``, ``"softplus"``.
    initializer : str or Initializer, default="auto"
        First weights: ``"glorot_uniform"``, ``"glorot_normal"`` (``"xavier_..."``),
        ``"he_uniform"``, ``"he_normal"``, ``"lecun_uniform"``, ``"lecun_normal"``,
        ``"orthogonal"``, ``"truncated_normal"``, ``"random_normal"``, ``"random_uniform"``,
        ``"variance_scaling"``, ``"lsuv"``, ``"zeros"``; ``"auto"`` follows the activation, see
        `sknn_adam.initializers.Auto`.
    bias_initializer : str or Initializer, default="zeros"
        First biases.
    normalization : None, str or Normalization, default=None
        Normalization before every activation: ``"batch"``, ``"layer"``, ``"rms"``.
    dropout : float or sequence of float, default=0.0
        Share of the hidden units that are dropped in training, in [0, 1); one number or one per
        hidden layer. With SELU it is alpha dropout.
    loss : str or ClassificationLoss, default="log_loss"
        What is minimized: ``"log_loss"``, ``"focal"``.
    optimizer : str or Optimizer, default="adam"
        ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"rmsprop"``, ``"adam"``, ``"lbfgs"``, or an
        instance such as ``Adam(learning_rate=0.01)``. The learning rate lives here.
    schedule : str or Schedule, default="constant"
        Course of the learning rate, a factor on it: ``"constant"``, ``"linear"``, ``"cosine"``,
        ``"exponential"``, ``"step"``, ``"inverse_scaling"``, ``"one_cycle"``, ``"coslog4"``,
        ``"flat_cos"``, ``"plateau"``, ``"warmup"``.
    gradient_clip : None, float, str or Clipping, default=None
        A number clips the gradient by its global norm; or ``"norm"``, ``"value"``, ``"layer"``.
    averaging : None, str or EMA, default="ema"
        ``"ema"`` predicts with a moving average of the weights.
    alpha : float or "auto", default="auto"
        Strength of the penalty on the weights, not negative. It means the same for every batch
        size (scikit-learn divides it by the batch). ``"auto"`` is 1/n_rows, at most 0.002.
    l1_ratio : float or "auto", default="auto"
        Share of the L1 norm in the penalty; the rest is L2. ``"auto"`` is 0.15, 0 for L-BFGS.
    batch_size : int or "auto", default="auto"
        Samples in a minibatch. ``"auto"`` is 32 for fewer than 128 samples, 64 from 128 samples
        on, and grows to 256 for more than 8,192 samples. L-BFGS takes all samples.
    max_iter : int, default=100
        The most epochs.
    shuffle : bool, default=True
        Whether every epoch visits the rows in a new random order.
    early_stopping : bool, default=False
        Whether to watch a validation score: training stops when it no longer rises, and the
        weights of the best epoch are restored.
    validation_fraction : float, default=0.1
        Share of the rows held out for it, in (0, 1), unless ``fit`` gets X_val and y_val.
    scoring : str, callable or None, default="loss"
        The validation score: ``"loss"`` for minus the loss without penalty, any scorer of
        scikit-learn, or None for the estimator's ``score``.
    n_iter_no_change : int, default=10
        Training stops when the loss (with `early_stopping` the validation score) has not improved
        by `tol` for more than this many epochs in a row; ``numpy.inf`` never stops.
    tol : float, default=1e-4
        See `n_iter_no_change`.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weight of each class; ``"balanced"`` gives all classes the same total weight. For a matrix
        of labels, a list of one dict ``{0: ..., 1: ...}`` per label, or ``"balanced"``; likewise
        for several columns. Weights of several columns are multiplied.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last fit, with the optimizer's and the random state kept.
    on_divergence : {"warn", "raise"}, default="warn"
        What happens when the loss or a weight is no longer finite. ``"warn"`` keeps the best
        finite weights and warns once; ``"raise"`` raises FloatingPointError.
    n_members : int, default=1
        How many networks are trained at once, from first weights of their own, on the same
        batches. Their probabilities are averaged. With `early_stopping` (and no X_val) they are
        cross-fitted: each leaves out its own part of the rows and stops at its own best epoch.
    record : bool or "all", default=True
        Whether ``history_.layers`` tells of gradients, weights and activations by layer: sampled
        (it takes about a fiftieth of a short fit) or at the first step of ``"all"`` epochs.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. ``"auto"`` is float64 if X is not float32 and below 8,192 elements.
    verbose : bool or int, default=0
        Whether to print a line for every epoch.
    random_state : int, RandomState instance or None, default=None
        Decides first weights and the order of the rows. The same integer gives the same bits.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or list of them
        The classes, the numbers of the labels, or the classes of every column.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights, batch normalization folded in: a plain forward pass gives the raw outputs. Of
        several members all matrices of a layer, (n_members, fan_in, fan_out).
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases; of several members (n_members, fan_out).
    oof_prediction_ : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
        Only of cross-fitted members: for each row of X the probabilities of the member that left
        it out; for rows of weight zero the members' mean. A list of such arrays for several columns
        of classes.
    oof_score_ : float
        Only of cross-fitted members: the accuracy of these predictions, or what `scoring` says.
    n_iter_ : int
        Epochs of the last ``fit``; ``partial_fit`` adds to it.
    best_iter_ : int or ndarray of shape (n_members,)
        Epoch of the last ``fit`` with the best validation score, without `early_stopping` with
        the smallest loss; several members have one each.
    validation_scores_ : list of float or None
        Validation score of every epoch.
    best_validation_score_ : float or None
        Score of the weights that were restored by `early_stopping`; the mean over members.
    n_layers_, n_outputs_ : int
        Layers, counting input and output, and outputs.
    out_activation_ : str
        What turns raw outputs into predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the smallest (None with `early_stopping`).
    loss_curve_ : list of float
        Loss of every epoch: the mean over its minibatches, each before its update, with penalty.
    history_ : History
        Loss, learning rate and seconds of every epoch.
    stop_reason_ : str or None
        Why training ended: ``"tol"``, ``"early_stopping"``, ``"max_iter"``, ``"diverged"``,
        ``"no_progress"`` (L-BFGS), ``"callback"``; None after ``partial_fit``.
    converged_ : bool
        Whether training ended because the loss no longer fell.
    optimizer_ : Optimizer
        The optimizer that was used.
    t_ : int
        Optimizer steps done.
    n_features_in_ : int
        Features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    MLPRegressor : The same network for numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import Adam, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier(optimizer=Adam(learning_rate=0.01), random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    _target_type: ClassVar = Classes
    _tables: ClassVar = {**BaseMLP._tables, "loss": CLASSIFICATION_LOSSES}
    _parameter_constraints: ClassVar = {
        **BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: t.Sizes = (200,),
        activation: t.Activations = "relu",
        *,
        initializer: t.Initial = "auto",
        bias_initializer: t.Initial = "zeros",
        normalization: t.Normal = None,
        dropout: t.Rates = 0.0,
        loss: t.ClassLoss = "log_loss",
        optimizer: t.Optimizing = "adam",
        schedule: t.Scheduling = "constant",
        gradient_clip: t.Clip = None,
        averaging: t.Averaging = "ema",
        alpha: float | str = "auto",
        l1_ratio: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int = 100,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: t.Scoring = "loss",
        n_iter_no_change: float = 10,
        tol: float = 0.0001,
        class_weight: Any = None,
        warm_start: bool = False,
        on_divergence: str = "warn",
        n_members: int = 1,
        record: bool | str = True,
        dtype: str = "auto",
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.initializer = initializer
        self.bias_initializer = bias_initializer
        self.normalization = normalization
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.averaging = averaging
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.on_divergence = on_divergence
        self.n_members = n_members
        self.record = record
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    @available_if(has_partial_fit)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch over the given rows, going on from where training stands.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels, a 0/1 matrix of labels, or columns of labels.
        classes : array-like of shape (n_classes,) or list of them, optional
            All classes that will ever occur. Needed at the first call if `y` lacks some; a list
            with the classes of every column for several columns.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative, with a positive sum.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.
        """
        return self._partial_fit(X, y, sample_weight, classes)
