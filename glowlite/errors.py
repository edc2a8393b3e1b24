"""Errors that a user can fix. Each is one clear line; a command prints it and exits with code 2."""


class GlowliteError(Exception):
    """A mistake that one line describes: what is wrong, where, and what to do."""


class ShapeError(GlowliteError, ValueError):
    """An array of the wrong shape or dtype."""


class DataError(GlowliteError, ValueError):
    """Data that are missing, damaged or of the wrong kind."""


class DamagedError(GlowliteError):
    """A file whose bytes differ from those that were written: it was cut short or changed.

    An older copy of the file may be intact.
    """


class PictureError(GlowliteError):
    """A picture that could not be drawn. The data that it shows are not lost."""


class OutputError(GlowliteError):
    """A place where a file cannot be written, or must not be written."""
