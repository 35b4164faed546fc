"""What can go wrong while looking at photos.

    PhotoError        one photo cannot be counted; the batch goes on without it
    ModelError        a model is missing, damaged or of the wrong kind; nothing can be counted
    StorageError      originals, overlays or evidence cannot be written
    WorkerCrash       a worker process died; what was finished is saved
    NoPhotos          the paths given hold nothing to count
    TruthError        a file of labelled photos cannot be used

Every message says what happened, where, and what to do.
"""

from __future__ import annotations


class PhotoError(Exception):
    """One photo cannot be counted; the batch goes on without it."""


class ModelError(Exception):
    """A model is missing, damaged or of the wrong kind; nothing can be counted."""


class StorageError(Exception):
    """Originals, overlays or evidence cannot be written."""


class WorkerCrash(Exception):
    """A worker process died, most often because the machine ran out of memory."""


class NoPhotos(Exception):
    """The paths given do not exist or hold no photo."""


class TruthError(Exception):
    """A file of labelled photos cannot be used."""
