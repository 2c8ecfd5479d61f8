"""Conversion to ONNX by skl2onnx, for predictions without Python (extra ``onnx``)."""

from sknn_adam.onnx.registration import register

__all__ = ["register"]
