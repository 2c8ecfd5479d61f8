"""Backends that compute formulas and products: NumPy, or loops compiled by Numba."""
