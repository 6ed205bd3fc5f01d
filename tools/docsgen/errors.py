"""What stops the generation of the reference."""

from __future__ import annotations


class Undocumented(Exception):
    """Something users can see has no explanation in the source; the message names it."""
