"""The errors that a user can fix, each one clear line; command lines print it and exit with 2."""


class GlowliteError(Exception):
    """A mistake that can be described in one line: what, where, and what to do."""


class ShapeError(GlowliteError, ValueError):
    """An array of the wrong shape or dtype."""


class DataError(GlowliteError, ValueError):
    """Data that are missing, damaged or of the wrong kind."""


class DamagedError(GlowliteError):
    """A file whose bytes are not those that were written: cut short, or changed.

    An older copy of it may be sound.
    """


class PictureError(GlowliteError):
    """A picture that could not be drawn. What it shows is not lost by that."""


class OutputError(GlowliteError):
    """A place where a file cannot be written, or must not be."""
