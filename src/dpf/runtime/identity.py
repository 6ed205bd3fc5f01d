"""Who a process is, so that its successor on the same machine can tell whether it is gone.

`election` names candidates by it. An identity says where the process lives (boot and pid namespace), its pid and when
the kernel started it: whoever shares that place can ask the kernel, and need not wait for a Lease of the dead to run
out. From anywhere else, such as the next container of a pod, nothing can be told and the Lease decides.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def new_identity(random: Callable[[], float]) -> str:
    """`<host>_<place>_<pid>_<start>_<8 hex digits>`: unique per process, readable in `kubectl get lease`."""
    pid = os.getpid()
    parts = (socket.gethostname(), _place(), str(pid), _started(pid) or "0", f"{int(random() * 2**32):08x}")
    return "_".join(parts)


def is_gone(identity: str) -> bool:
    """Whether the process of that identity certainly does not run any more; False when it cannot be told."""
    parts = identity.rsplit("_", 4)
    if len(parts) != 5 or parts[1] != _place() or not parts[2].isdigit():
        return False
    return _started(int(parts[2])) != parts[3]


def _place() -> str:
    """Digest of this boot and this pid namespace: within it a pid and a start time name one process for ever."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    namespace = (_PROC / "self/ns/pid").readlink()
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:8]


def _started(pid: int) -> str | None:
    """Start time of a living process in kernel ticks; None when there is none of that pid, or only its remains."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started
