"""Conversion to ONNX, a format that other languages run: converters for skl2onnx (extra onnx)."""

from sknn_adam.onnx.registration import register

__all__ = ["register"]
