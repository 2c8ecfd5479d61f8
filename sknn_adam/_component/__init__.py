"""The base class of all components, tables of their names, and search ranges."""
