"""The base of all components, their registries, and the ranges worth searching."""
