"""Errors that a user can act on.

Every message is one line that names the file or value at fault and the way out; the command line
prints it as it is and exits with status 1. Programming errors keep Python's own exceptions.
"""

from __future__ import annotations


class FolError(Exception):
    """Base of all errors meant for the user of the library or of the command line."""


class ConfigError(FolError):
    """An option is unknown, missing or out of range."""


class ImageError(FolError):
    """An image cannot be read or used."""


class DataError(FolError):
    """A folder, CSV, file name or coordinate does not follow its format."""


class CheckpointError(FolError):
    """A weight file does not fit the architecture it was given for."""


class DownloadError(FolError):
    """Weights could not be fetched; the message says how to place the file by hand."""


class MapError(FolError):
    """A map is damaged, incomplete, locked, or was built with another model."""


class MatchingError(FolError):
    """Local features cannot be compared: wrong shapes, or values that are not finite."""


class TrainingStopped(FolError):
    """A run was ended because it learns nothing any more: a loss that is not finite, a collapse, a drop of recall."""
