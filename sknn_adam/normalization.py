r"""Normalizations, which standardize activations inside the network.

A normalization layer is placed between a dense layer and its activation. The layers are defined in
`sknn_adam._nn.normalization`. A custom normalization returns a layer from ``layer(width)``.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from sknn_adam._component.base import Component
from sknn_adam._component.registry import Table
from sknn_adam._utils.validation import FRACTION, POSITIVE

__all__ = ["NORMALIZATIONS", "Normalization", "BatchNorm", "LayerNorm", "RMSNorm"]


class Normalization(Component):
    """Base class of all normalizations.

    A subclass defines ``layer(width)``.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.normalization import BatchNorm, Normalization
    >>> isinstance(BatchNorm(), Normalization)
    True
    >>> model = MLPClassifier(normalization=BatchNorm(momentum=0.05))
    """

    contract = (("layer", "over"),)

    # Whether the mean and the variance are computed over the "batch" or over each "sample".
    over: ClassVar[str | None] = None

    @abstractmethod
    def layer(self, width: int) -> Any:
        """Return a new layer for `width` activations.

        The normalizations of this package define `over` instead, and
        ``sknn_adam._nn.normalization.normalization_layer(normalization, width)`` creates their
        layers.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define layer(width). To modify the layer of a "
            "normalization of sknn_adam, subclass BatchNormLayer or RowNormLayer of "
            "sknn_adam._nn.normalization and return an instance from layer(width)."
        )


class BatchNorm(Normalization):
    r"""Batch normalization, which standardizes each unit over the samples of a batch [1]_.

    .. math:: y = \gamma \, (z - \mu_B) / \sqrt{\sigma_B^2 + \epsilon} + \beta

    Here :math:`z` is the output of the dense layer, :math:`\mu_B` and :math:`\sigma_B^2` are the
    mean and variance of a unit over the batch, and :math:`\gamma` and :math:`\beta` are a learned
    scale and shift. Batch normalization keeps activations and gradients in range at any depth and
    allows larger learning rates. Predictions use running averages of the batch means and variances.

    Parameters
    ----------
    momentum : float, default=0.9
        The decay rate of the running averages, in [0, 1).
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the variance; greater than 0.

    Notes
    -----
    The running averages are bias-corrected and weighted by batch size. After :math:`t` steps, the
    average of the means is :math:`\sum_k \rho^{t-k} n_k \mu_k / \sum_k \rho^{t-k} n_k`, where
    :math:`\rho` is the momentum, and :math:`n_k` and :math:`\mu_k` are the number of samples and
    the mean of batch :math:`k`. Predictions after short training therefore do not depend on the
    initial values. Other libraries start at mean 0 and variance 1 without bias correction. The
    variance is the biased variance of the batch (divided by its number of samples).

    The mean and variance of a few samples are unreliable. A batch is therefore normalized by the
    running averages, and does not update them, if it has a single sample or at most a quarter of
    the usual number of samples. The last batch of an epoch can be this small.

    A few extreme samples can dominate the running averages, so that predictions are useless
    although the training loss is small. ``fit`` therefore compares the training loss with the loss
    of the predictions and reports a training run as diverged if this happens or if a variance
    overflows. Layer normalization has no running averages and works at any scale.

    References
    ----------
    .. [1] Ioffe, S., Szegedy, C. (2015). Batch normalization: accelerating deep network training
       by reducing internal covariate shift. ICML. Algorithms 1 and 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.normalization import BatchNorm
    >>> model = MLPClassifier((64, 64), normalization=BatchNorm(momentum=0.95))
    """

    over = "batch"
    _parameter_constraints: ClassVar = {"momentum": [FRACTION], "epsilon": [POSITIVE]}

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-05) -> None:
        self.momentum = momentum
        self.epsilon = epsilon


class LayerNorm(Normalization):
    r"""Layer normalization, which standardizes each sample over the units of a layer [1]_.

    .. math:: y = \gamma \, (z - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta

    Here :math:`z` is the output of the dense layer, :math:`\mu` and :math:`\sigma^2` are its mean
    and variance over the units for one sample, and :math:`\gamma` and :math:`\beta` are a learned
    scale and shift. The result does not depend on the other samples of the batch, so training and
    prediction use the same formula.

    Parameters
    ----------
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the variance; greater than 0.

    References
    ----------
    .. [1] Ba, J., Kiros, J., Hinton, G. (2016). Layer normalization. arXiv:1607.06450.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier((64, 64), normalization="layer")
    """

    over = "sample"
    centered = True
    _parameter_constraints: ClassVar = {"epsilon": [POSITIVE]}

    def __init__(self, epsilon: float = 1e-05) -> None:
        self.epsilon = epsilon


class RMSNorm(LayerNorm):
    r"""Root mean square normalization: layer normalization that does not subtract the mean [1]_.

    .. math:: y = \gamma \, z / \sqrt{\mathrm{mean}(z^2) + \epsilon}

    Here :math:`z` is the output of the dense layer, the mean is taken over the units for one
    sample, and :math:`\gamma` is a learned scale.

    Parameters
    ----------
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the mean square; greater than 0.

    References
    ----------
    .. [1] Zhang, B., Sennrich, R. (2019). Root mean square layer normalization. NeurIPS.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier((64, 64), normalization="rms")
    """

    centered = False


NORMALIZATIONS = Table(
    "normalization",
    Normalization,
    {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm},
    optional=True,
    familiar={
        **dict.fromkeys(("batch_norm", "batchnorm", "bn", "batch_normalization"), "batch"),
        **dict.fromkeys(("layer_norm", "layernorm", "ln", "layer_normalization"), "layer"),
        **dict.fromkeys(("rms_norm", "rmsnorm"), "rms"),
    },
)
