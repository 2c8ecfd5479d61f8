"""Conversion to ONNX, for predictions without Python: converters for skl2onnx (extra onnx)."""

from sknn_adam.onnx.registration import register

__all__ = ["register"]
