"""Multi-layer perceptron classifier."""

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
    """Multi-layer perceptron classifier with pluggable components.

    Supports binary, multiclass, multilabel and multioutput targets. Components are passed by name
    or as instances. Nested parameters work for both, for example ``optimizer="adam"`` with
    ``optimizer__learning_rate=0.01``. Scale the features before fitting.

    Parameters
    ----------
    hidden_layer_sizes : int, sequence of int, str or Layers, default=(200,)
        Widths of the hidden layers: ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three
        layers of 256 units. ``()`` gives a linear model. `Layers` has width and depth as numbers to
        search; strings work as categories in every search.
    activation : str, Activation or sequence of them, default="relu"
        Activation of the hidden layers, either one for all or one per layer: ``"identity"``,
        ``"logistic"`` (``"sigmoid"``), ``"tanh"``, ``"relu"``, ``"leaky_relu"``, ``"prelu"``,
        ``"elu"``, ``"selu"``, ``"gelu"``, ``"silu"`` (``"swish"``), ``"mish"``, ``"softplus"``.
    initializer : str or Initializer, default="auto"
        Initial weights: ``"glorot_uniform"``, ``"glorot_normal"`` (``"xavier_..."``),
        ``"he_uniform"``, ``"he_normal"``, ``"lecun_uniform"``, ``"lecun_normal"``,
        ``"orthogonal"``, ``"truncated_normal"``, ``"random_normal"``, ``"random_uniform"``,
        ``"variance_scaling"``, ``"lsuv"``, ``"zeros"``; ``"auto"`` depends on the activation, see
        `sknn_adam.initializers.Auto`.
    bias_initializer : str or Initializer, default="zeros"
        Initial biases.
    learn_scales : bool, default=False
        Whether to learn a factor for each feature, which multiplies it before the first layer. The
        factors are initially 1, and Adam changes them at six times the learning rate, so that the
        network soon depends less on useless features [1]_. `alpha` and weight decay do not apply
        to the factors.
    normalization : None, str or Normalization, default=None
        Normalization before every hidden activation: ``"batch"``, ``"layer"``, ``"rms"``.
    dropout : float or sequence of float, default=0.0
        Fraction of the hidden units to drop during training, in [0, 1): one number, or one per
        hidden layer. SELU layers use alpha dropout.
    loss : str or ClassificationLoss, default="log_loss"
        Loss to minimize: ``"log_loss"``, ``"focal"``.
    optimizer : str or Optimizer, default="adam"
        Optimizer with its learning rate: an instance, such as ``Adam(learning_rate=0.01)``, or a
        name, such as ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"rmsprop"``, ``"adam"``,
        ``"adamw"`` or ``"lbfgs"``. `sknn_adam.optimizers` lists all of them.
    schedule : str or Schedule, default="constant"
        Factor that multiplies the learning rate: ``"constant"``, ``"linear"``, ``"cosine"``,
        ``"exponential"``, ``"step"``, ``"inverse_scaling"``, ``"one_cycle"``, ``"coslog4"``,
        ``"flat_cos"``, ``"plateau"``, ``"warmup"``.
    gradient_clip : None, float, str or Clipping, default=None
        Gradient clipping: a number, which limits the global norm of the gradient, or ``"norm"``,
        ``"value"`` or ``"layer"``.
    averaging : None, str or EMA, default="auto"
        Weight averaging. ``"ema"`` predicts with an exponential moving average of the weights;
        ``"auto"`` does so too, unless the optimizer computes an average itself. L-BFGS does not
        average.
    alpha : float or "auto", default="auto"
        Strength of the penalty on the weights, non-negative. Unlike in scikit-learn, which
        divides it by the batch size, its effect does not depend on the batch size. ``"auto"`` is
        1/n_samples, at most 0.002.
    l1_ratio : float or "auto", default="auto"
        Fraction of the L1 norm in the penalty; the rest is L2. ``"auto"`` is 0.15, or 0 for L-BFGS.
    batch_size : int or "auto", default="auto"
        Number of samples in a minibatch. ``"auto"`` is 32 for fewer than 128 samples, 64 from 128
        samples on (with `cv`, from 64 on), and grows to 256 for more than 8,192 samples. With
        ``max_iter="auto"`` and no `early_stopping`, it is 32 for up to 8,000 samples. L-BFGS uses
        all samples.
    max_iter : int or "auto", default=100
        Maximum number of epochs. ``"auto"`` is 60 with `early_stopping` and 15 without, for up to
        8,000 samples. For more, 60 is multiplied by the root of 8,000 / n_samples, and 15 by
        8,000 / n_samples, down to 5 and 4 epochs.
    shuffle : bool, default=True
        Whether to shuffle the samples in every epoch.
    early_stopping : bool, default=False
        Whether to stop when the validation score no longer improves, and restore the weights of
        the best epoch. Several networks each have their own best epoch.
    validation_fraction : float, default=0.1
        Fraction of the samples held out for early stopping, in (0, 1). Not used if X_val and y_val
        are passed to ``fit``, or with `cv`.
    scoring : str, callable or None, default="loss"
        Validation score: ``"loss"`` for the negative loss without penalty, any scikit-learn
        scorer, or None for the estimator's ``score``.
    n_iter_no_change : int, default=10
        Training stops when the loss (with `early_stopping`, the validation score) has not improved
        by `tol` for more than this many consecutive epochs; ``numpy.inf`` never stops.
    tol : float, default=1e-4
        Minimum improvement, see `n_iter_no_change`.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weight of each class; ``"balanced"`` gives all classes the same total weight. For
        multilabel and multioutput targets, ``"balanced"`` or a list with one dict per label
        (``{0: ..., 1: ...}``) or column. The weights of a sample in all columns are multiplied.
    warm_start : bool, default=False
        Whether ``fit`` continues the previous fit, including its optimizer and random state.
    n_members : int, default=1
        Number of networks to train together, on the same batches but from different initial
        weights. Their probabilities are averaged. With `cv`, the number of networks per split.
    cv : int, splitter, iterable of splits or None, default=None
        Cross-fitting: `n_members` networks for each split, trained on exactly its training set.
        They also predict its test set, see `oof_prediction_`, and with `early_stopping` (and no
        X_val) each network stops by its test set. An int is the number of shuffled folds, which
        are stratified by a single column of classes and keep groups together. Without
        `early_stopping`, all networks are trained for `max_iter` epochs.
    record : bool or "all", default=True
        Whether to record statistics of gradients, weights and activations per layer in
        ``history_.layers``. True records some of the steps, which takes about a fiftieth of the
        time of a short fit; ``"all"`` records the first step of every epoch.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Floating-point precision. ``"auto"`` is float64 if X is not float32 and has fewer than
        8,192 elements, or if the optimizer is L-BFGS, and float32 otherwise.
    verbose : {"auto"}, bool or int, default="auto"
        Whether to print one line per epoch. ``"auto"`` shows a progress bar instead, which is
        removed at the end, if rich is installed, the output is an interactive terminal and the fit
        takes longer than five seconds. ``False`` prints nothing.
    random_state : int, RandomState instance or None, default=None
        Controls the initial weights, the split for early stopping, the order of the samples and
        dropout. Pass an int for bit-identical results across calls.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or list of ndarray
        The classes. For multilabel targets, the indices of the labels; for multioutput targets, a
        list with the classes of each column.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weight matrix of each layer with learned scales and batch normalization folded in, so that a
        plain forward pass gives the raw outputs. With `averaging`, these are the averaged weights.
        Only with ``n_members=1`` and ``cv=None``; see `members_`.
    intercepts_ : list of ndarray of shape (fan_out,)
        Bias vector of each layer. Only with ``n_members=1`` and ``cv=None``.
    members_ : list of estimators
        The networks as fitted estimators with ``n_members=1`` and ``cv=None``, in the order of the
        splits. Only with `n_members` above 1 or `cv`.
    oof_prediction_ : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
        Out-of-fold probabilities of each sample, from the networks that hold it out: the mean if
        there are several, NaN if there is none. The target of a sample does not affect its own
        prediction, given the splits. For multioutput targets, a list with one array per column of
        `y`. Only available with `cv`.
    oof_score_ : float
        Score of `oof_prediction_`, without samples that no network holds out: accuracy if
        `scoring` is ``"loss"``, otherwise the score that `scoring` computes. It is honest about
        this estimator only: a preceding step of a Pipeline that uses the targets, such as a target
        encoder, has seen all of them. For a score of the whole Pipeline, use scikit-learn's
        ``cross_val_predict`` or ``cross_val_score``. Only available with `cv`.
    oof_loss_ : float
        Mean loss of the networks on the samples that they hold out, without the penalty. Only
        available with `cv`.
    n_iter_ : int
        Number of epochs of the last ``fit``; every ``partial_fit`` adds one.
    best_iter_ : int or ndarray of shape (n_members,)
        Epoch of the last ``fit`` with the best validation score or, without `early_stopping`, the
        smallest loss; one entry per member for several members.
    validation_scores_ : list of float or None
        Validation score of each epoch; None without validation data.
    best_validation_score_ : float or None
        Validation score of the weights restored by `early_stopping`, averaged over members; None
        without `early_stopping`.
    n_layers_, n_outputs_ : int
        Number of layers, including the input and output layers, and number of outputs.
    out_activation_ : str
        Output activation, which converts raw outputs to predictions.
    loss_, best_loss_ : float
        Loss of the last epoch and smallest loss of any epoch. `best_loss_` is None with
        `early_stopping`.
    loss_curve_ : list of float
        Training loss of each epoch, including the penalty: the mean over its minibatches, each
        evaluated before its update.
    history_ : History
        Loss, learning rate and duration in seconds of each epoch.
    stop_reason_ : str or None
        Reason why training ended: ``"tol"``, ``"early_stopping"``, ``"max_iter"``, ``"diverged"``,
        ``"no_progress"`` (L-BFGS), ``"callback"``; None after ``partial_fit``.
    converged_ : bool
        Whether training ended because the loss or the validation score no longer improved.
    optimizer_ : Optimizer
        The optimizer used for training.
    averaging_ : EMA or None
        The weight averaging used for training.
    alpha_, l1_ratio_ : float
        Strength of the penalty and fraction of the L1 norm in it.
    batch_size_, max_iter_ : int
        Number of samples in a minibatch, and maximum number of epochs.
    dtype_ : dtype
        Floating-point precision of the network.
    n_steps_ : int
        Number of optimizer steps.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen during ``fit``, if they were all strings.

    See Also
    --------
    MLPRegressor : Multi-layer perceptron regressor.

    References
    ----------
    .. [1] Holzmüller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong pre-tuned
       MLPs and boosted trees on tabular data. NeurIPS, section 3.

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
        learn_scales: bool = False,
        normalization: t.Normal = None,
        dropout: t.Rates = 0.0,
        loss: t.ClassLoss = "log_loss",
        optimizer: t.Optimizing = "adam",
        schedule: t.Scheduling = "constant",
        gradient_clip: t.Clip = None,
        averaging: t.Averaging = "auto",
        alpha: float | str = "auto",
        l1_ratio: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = 100,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: t.Scoring = "loss",
        n_iter_no_change: float = 10,
        tol: float = 0.0001,
        class_weight: Any = None,
        warm_start: bool = False,
        n_members: int = 1,
        cv: Any = None,
        record: bool | str = True,
        dtype: str = "auto",
        verbose: int | str = "auto",
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.initializer = initializer
        self.bias_initializer = bias_initializer
        self.learn_scales = learn_scales
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
        self.n_members = n_members
        self.cv = cv
        self.record = record
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    @available_if(has_partial_fit)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on the given samples, continuing earlier training.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, a 0/1 indicator matrix, or several columns of class labels.
        classes : array-like of shape (n_classes,) or list of array-like, optional
            All classes that can occur in any call; for multioutput targets, a list with the
            classes of each column. Required in the first call if `y` lacks some of the classes.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative sample weights with a positive sum.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.
        """
        return self._partial_fit(X, y, sample_weight, classes)
