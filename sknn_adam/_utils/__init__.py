"""Checks, files and warnings that do not depend on networks."""
