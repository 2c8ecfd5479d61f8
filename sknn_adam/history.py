"""The history of a training: one row for each epoch, and figures of each layer."""

from sknn_adam._training.history import History, LayerHistory

__all__ = ["History", "LayerHistory"]
