"""What can stop the local platform. Every message says what is wrong and how to mend it; the CLI prints it as it is."""

from __future__ import annotations


class LocalError(Exception):
    """Base of what `dpfctl local` reports without a traceback."""


class PreflightError(LocalError):
    """This machine lacks something that `up` needs: root, disk space, a free port, a short enough path."""


class StepError(LocalError):
    """A step of `up` did not succeed in time; the message names the step, the process and its last words."""
