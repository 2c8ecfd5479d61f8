"""Model archives that are safe to open: no pickle, trusted types only (extra ``secure``)."""

from sknn_adam.persistence.archives import ArchiveError, load, save
from sknn_adam.persistence.trusted import TRUSTED_TYPES

__all__ = ["TRUSTED_TYPES", "ArchiveError", "load", "save"]
