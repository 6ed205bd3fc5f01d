"""Long-running processes without a daemon: started, recognised, measured and stopped by whoever has the state folder.

`spec` says what should run, `supervisor` makes it so, `asynchronous` is the same for asyncio code. What is remembered
stands in `<state>/run/` (`records`); what is true is read from the kernel (`procfs`). `ports` explains "port in use".
"""

from dpf.local.supervisor.asynchronous import AsyncSupervisor, ended
from dpf.local.supervisor.spec import ProcessSpec, StopStage
from dpf.local.supervisor.supervisor import Ensured, Outcome, Process, ProcessStatus, Supervisor

__all__ = [
    "AsyncSupervisor", "Ensured", "Outcome", "Process", "ProcessSpec", "ProcessStatus", "StopStage", "Supervisor",
    "ended",
]
