"""Conversion to ONNX by skl2onnx, for predictions without Python (extra ``onnx``)."""

from sknn_adam.onnx.registration import register
from sknn_adam.onnx.tables import initial_types

__all__ = ["initial_types", "register"]
