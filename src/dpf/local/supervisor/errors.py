"""What can go wrong with a supervised process.

    LocalError
    └── Error
        ├── StartFailed   the program could not be executed at all
        └── StopFailed    the kernel did not end a process even after SIGKILL
"""

from __future__ import annotations

from dpf.local import errors


class Error(errors.LocalError):
    """Base; the message names the process and the next step."""


class StartFailed(Error):
    """The program could not be executed."""


class StopFailed(Error):
    """Processes are still there after SIGKILL."""
