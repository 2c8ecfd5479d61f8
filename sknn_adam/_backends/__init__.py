"""How formulas and products are computed: by NumPy, or by loops that Numba compiles."""
