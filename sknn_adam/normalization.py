r"""Normalization: activations standardized to mean 0 and variance 1 inside the network.

Normalization layers stand between the dense layer and the activation. The layers are in
`sknn_adam._nn.normalization`; a custom class returns its layer from ``layer(width)``.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from sknn_adam._component.base import Component
from sknn_adam._component.registry import Table
from sknn_adam._utils.validation import FRACTION, POSITIVE

__all__ = ["NORMALIZATIONS", "Normalization", "BatchNorm", "LayerNorm", "RMSNorm"]


class Normalization(Component):
    """Base of all normalizations: a subclass defines ``layer(width)``.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.normalization import BatchNorm, Normalization
    >>> isinstance(BatchNorm(), Normalization)
    True
    >>> model = MLPClassifier(normalization=BatchNorm(momentum=0.05))
    """

    contract = (("layer", "over"),)

    # Whether mean and variance are those of the "batch" or of each "sample".
    over: ClassVar[str | None] = None

    @abstractmethod
    def layer(self, width: int) -> Any:
        """Return a new layer for activations of this width.

        The normalizations of the package declare `over` instead; their layers are made by
        ``sknn_adam._nn.normalization.normalization_layer(normalization, width)``.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define layer(width). A subclass that changes the "
            "layer of a normalization of the package gets it from "
            "sknn_adam._nn.normalization.BatchNormLayer or RowNormLayer."
        )


class BatchNorm(Normalization):
    r"""Batch normalization: each unit standardized over the samples of the batch [1]_.

    .. math:: y = \gamma \, (z - \mu_B) / \sqrt{\sigma_B^2 + \epsilon} + \beta

    Keeps activations and gradients in range at any depth and allows larger learning rates.
    Prediction uses running averages of the batch means and variances.

    Parameters
    ----------
    momentum : float, default=0.9
        How much of a running average is kept in a step, in [0, 1).
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the variance; above 0.

    Notes
    -----
    The running averages are corrected for their start and weighted by the samples: after :math:`t`
    steps with :math:`n_k` samples they are :math:`\sum_k \rho^{t-k} n_k \mu_k / \sum_k \rho^{t-k}
    n_k` with momentum :math:`\rho`. So a short training does not predict with half of the initial
    values in them. Other libraries start at mean 0 and variance 1 and do not correct. The variance
    is the batch's own, divided by its number of samples.

    Mean and variance of a few samples are mostly noise. So a batch with less than a quarter of the
    batch size, such as the last one of an epoch, or with a single sample, is normalized with the
    running averages and does not change them.

    A few extreme samples can dominate the running averages, so that predictions are useless
    although the training loss is small. ``fit`` compares both losses and reports such a training
    as diverged, as it does where a variance overflows. Layer normalization has no such averages
    and is computed at any scale.

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
    r"""Layer normalization: each sample standardized over its units [1]_.

    .. math:: y = \gamma \, (z - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta

    with mean and variance over the units of one sample. Independent of the batch, and the same in
    training and prediction.

    Parameters
    ----------
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the variance; above 0.

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
    r"""Root mean square normalization: layer normalization without the mean [1]_.

    .. math:: y = \gamma \, z / \sqrt{\mathrm{mean}(z^2) + \epsilon}

    Parameters
    ----------
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the mean square; above 0.

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
