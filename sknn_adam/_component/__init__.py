"""The base class of all components, tables of their names, and ranges for searches."""
