"""What stops the generation of the reference."""

from __future__ import annotations


class Undocumented(Exception):
    """Something users can see has no explanation in the source; the message names it."""


class Impossible(Exception):
    """What a page tells by hand does not fit the table that it is made from; the message says where."""
