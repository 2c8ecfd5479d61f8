"""The history of training: one row per epoch, and statistics of each layer."""

from sknn_adam._training.history import History, LayerHistory

__all__ = ["History", "LayerHistory"]
