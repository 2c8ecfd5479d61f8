"""Training history: one row per epoch, and measurements of the layers."""

from sknn_adam._training.history import History, LayerHistory

__all__ = ["History", "LayerHistory"]
