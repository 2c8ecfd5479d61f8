"""Checks, files and warnings that know nothing of networks."""
