"""Prepare BFB and OS Installing: the card gets its system, exactly once for each intent. Pure.

What has begun is found again after any crash: by the id of the BMC's task, by the image that a task was ordered with,
or by the version that the card runs. Only what failed at its end counts as an attempt. Source: BP
5.7, 5.8 and 8.
"""

from __future__ import annotations

import posixpath
from datetime import datetime
from typing import Any, Final

from dpf.api import core
from dpf.api.dpu import DPU, ConditionType, Phase
from dpf.provisioning.bfb import imageuri
from dpf.provisioning.dpu import tracker
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do, fail, failed, move, wait
from dpf.provisioning.dpu.intents import Command, Prepare, Prepared, Refused, Unprepared
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.install.port import (
    Activate,
    Activation,
    Install,
    Order,
    Outcome,
    Sight,
    Silence,
    Task,
    TaskState,
    Transfer,
)
from dpf.runtime import clock, conditions
from dpf.runtime.plan import Drive, StepResult

SOONEST_S: Final = 0.2
LATEST_S: Final = 5.0
_SHARE: Final = 0.1
"""How much longer than it takes an installation may seem to take."""
BUSY_S: Final = 5.0
FAIL_TO_INSTALL: Final = "FailToInstall"
FAIL_TO_CHECK: Final = "FailToCheckProgress"
TASK_PROGRESS: Final = "TaskProgress"
TASK_LOST: Final = "TaskLost"
OS_NOT_RUNNING: Final = "OSNotRunning"
TIMEOUT: Final = "InstallationTimeout"
BUSY: Final = "AnotherUpdateInProgress"
REFUSED: Final = "InstallRefused"
"""For one pass: the next one counts it as an attempt."""
_INSTALLED: Final = (ConditionType.BFB_TRANSFERRED, ConditionType.OS_INSTALLED)


def prepare_bfb(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """The configuration of this very DPU is on the volume."""
    about, cluster = ConditionType.BFB_PREPARED, snapshot.cluster_key
    if snapshot.flavor is None or snapshot.bfb is None:
        return wait(about, *snapshot.lost)
    if cluster is None or snapshot.cluster is None:
        return wait(about, "DPUClusterNotFound", f"DPUCluster {cluster or ''} does not exist")
    versions = snapshot.bfb.status.versions
    intent = Prepare(
        dpu=snapshot.dpu, flavor=snapshot.flavor, cluster=cluster, with_agent=snapshot.is_redfish,
        host_name=snapshot.dpunode.status.kubeNodeRef if snapshot.dpunode is not None else None,
        doca_version=versions.doca if versions is not None else None,
        control_plane_mtu=snapshot.settings.control_plane_mtu, high_speed_mtu=snapshot.settings.high_speed_mtu,
    )
    done = move(about, Phase.OS_INSTALLING, "its configuration is on the volume")
    first = {ConditionType.OS_INSTALLED: conditions.false("InstallationInProgress", "The installation begins")}

    def settle(result: StepResult) -> Update:
        answer = result.outcomes[0].answer
        if isinstance(answer, Prepared):
            return done.update.also(Update(states=first, fields={"bfCFGFile": answer.file}))
        if isinstance(answer, Unprepared):
            if answer.is_final:
                return failed(about, answer.reason, answer.why)
            return Update(states={about: conditions.false(answer.reason, answer.why)})
        return Update()

    found = do(done, Drive(intent=intent, because="the card gets its configuration with its system"), settle=settle)
    return Decision(
        about=about, update=done.update, actions=found.actions, settle=settle, because=done.because,
        wake_after_s=LATEST_S if _refused_before(snapshot) else AT_ONCE_S,
    )


def os_installing(snapshot: Snapshot, now: datetime) -> Decision:
    """Until the system runs, or the attempts are used up."""
    if snapshot.skips_hardware:
        return _installed(Phase.REBOOTING, "the card is left alone, as its label says")
    if snapshot.is_redfish and _agent_started(snapshot):
        return _installed(Phase.DPU_CONFIG, "the agent on the DPU has reported")
    if snapshot.overdue(ConditionType.BFB_PREPARED, snapshot.settings.install_timeout_s, now):
        limit = snapshot.settings.install_timeout_s
        return fail(ConditionType.OS_INSTALLED, TIMEOUT, f"Not installed within {limit:.0f} s; {_last_boot(snapshot)}")
    if isinstance(snapshot.sight, Silence) or snapshot.sight is None:
        return _unseen(snapshot, now)
    if not _is_bundle(snapshot):
        why = "status.bfbFile is no name of a bundle. Next step: delete the DPU; it is made and installed again"
        return fail(ConditionType.OS_INSTALLED, "BFBFileUnknown", why)
    if snapshot.is_redfish:
        return _by_bmc(snapshot, snapshot.sight, now)
    return _by_dms(snapshot, snapshot.sight, now)


def configuration(dpu: DPU) -> str:
    """The name of the file with the configuration of one DPU: its uid keeps namesakes apart (BP 5.7 and 13)."""
    metadata = dpu.metadata
    return f"{metadata.namespace}_{metadata.name}_{metadata.uid}"


def image(snapshot: Snapshot) -> str:
    """What the BMC is told to fetch; the name of the configuration holds the DPU's uid."""
    return f"{snapshot.settings.registry}{_path(snapshot)}"


def versions(snapshot: Snapshot) -> tuple[tuple[str, str], tuple[str, str]]:
    """Name and path of the bundle and of the configuration as the management service gets them (BP section 8)."""
    status, folder = snapshot.dpu.status, snapshot.settings.folder
    file, metadata = status.bfbFile or "", snapshot.dpu.metadata
    cfg = f"{metadata.name}-{metadata.uid}.cfg"
    path = posixpath.join(folder, imageuri.FOLDER, configuration(snapshot.dpu))
    return (file, posixpath.join(folder, file)), (cfg, path)


def version(snapshot: Snapshot) -> str:
    """Both, as they are activated."""
    bundle, cfg = versions(snapshot)
    return f"{bundle[0]};{cfg[0]}"


def _by_bmc(snapshot: Snapshot, sight: Sight, now: datetime) -> Decision:
    about = ConditionType.BFB_TRANSFERRED
    if snapshot.holds(about):
        return _booting(snapshot, sight, now)
    task = _named(snapshot, sight) if snapshot.dpu.status.redfishTaskId else _ours(snapshot, sight)
    if task is None:
        return _submit(snapshot, sight, now)
    id_ = task.id
    match task.state:
        case TaskState.COMPLETED:
            update = Update(states={about: conditions.true(str(about))}, fields={"redfishTaskId": id_})
            return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because="the card has the bundle")
        case TaskState.FAILED if task.id == snapshot.tracker.last:
            return wait(about, FAIL_TO_INSTALL, f"{_told(task)}; it is tried again", wake_after_s=AT_ONCE_S,
                        redfishTaskId=None)
        case TaskState.FAILED:
            return _attempt_failed(snapshot, task.id, _told(task))
        case TaskState.LOST:
            why = f"The BMC does not know task {task.id} any more; waiting for the DPU itself. {_last_boot(snapshot)}"
            return wait(about, TASK_LOST, why, wake_after_s=LATEST_S)
        case _:
            why = f"install task {task.percent or 0}% complete"
            return wait(about, TASK_PROGRESS, why, wake_after_s=_soon(snapshot, now), redfishTaskId=id_)


def _ours(snapshot: Snapshot, sight: Sight) -> Task | None:
    """The work that was ordered for this DPU, if its id was not written down before a crash."""
    ours = [task for task in sight.tasks or () if task.image is not None and _is_ours(snapshot, task)]
    newest = max(ours, key=lambda task: (task.state is not TaskState.FAILED, _number(task.id)), default=None)
    # A BMC that restarts may give the number of a failure to another task: only a failure was counted.
    counted = newest is not None and newest.state is TaskState.FAILED and newest.id == snapshot.tracker.last
    return None if counted else newest


def _named(snapshot: Snapshot, sight: Sight) -> Task | None:
    """The work of that id. Where it is for another image, the number is somebody else's now: the BMC has restarted."""
    task = sight.task
    if task is None or task.image is None or _is_ours(snapshot, task):
        return task
    return Task(id=task.id, state=TaskState.LOST)


def _is_ours(snapshot: Snapshot, task: Task) -> bool:
    """The registry may have got another address since, and a BMC may put the scheme before it."""
    return (task.image or "").endswith(_path(snapshot))


def _path(snapshot: Snapshot) -> str:
    return imageuri.build(snapshot.dpu.status.bfbFile or "", configuration(snapshot.dpu))


def _is_bundle(snapshot: Snapshot) -> bool:
    """Whether its status names a file that could be a bundle: the agent on the DPU may write all of the status."""
    try:
        return bool(_path(snapshot))
    except ValueError:
        return False


def _submit(snapshot: Snapshot, sight: Sight, now: datetime) -> Decision:
    """Nothing of ours goes on: order it, unless the card is at work on something else."""
    about, why = ConditionType.BFB_TRANSFERRED, _uncounted(snapshot)
    if why is not None:
        return _attempt_failed(snapshot, snapshot.tracker.last, why)
    other = next((task for task in sight.tasks or () if task.state is TaskState.RUNNING), None)
    if other is not None:
        return wait(about, BUSY, f"The BMC is at work on task {other.id}, which is not ours", wake_after_s=BUSY_S)
    if sight.tasks is None:
        return wait(about, FAIL_TO_CHECK, f"The BMC does not tell its tasks{_troubles(sight)}", wake_after_s=LATEST_S)

    def settle(result: StepResult) -> Update:
        answer = result.outcomes[0].answer
        if isinstance(answer, Refused):
            return _refused(snapshot, answer)
        progress = conditions.false(TASK_PROGRESS, "install task 0% complete")
        return Update(states={about: progress}, fields={"redfishTaskId": answer})

    found = wait(about, TASK_PROGRESS, "The installation is ordered", wake_after_s=_soon(snapshot, now))
    return _command(found, snapshot, Install(image=image(snapshot)), settle)


def _refused(snapshot: Snapshot, refused: Refused) -> Update:
    """Busy costs no attempt; a doubtful answer is looked into."""
    about = ConditionType.BFB_TRANSFERRED
    if refused.busy:
        return Update(states={about: conditions.false(BUSY, refused.why)})
    if refused.doubtful or refused.silent:
        return Update(states={about: conditions.false(FAIL_TO_CHECK, refused.why)})
    return Update(states={about: conditions.false(REFUSED, f"{_nth(snapshot)}{refused.why}")})


def _uncounted(snapshot: Snapshot) -> str | None:
    """Why the card refused the last order, if that is not counted as an attempt yet: its number tells."""
    found, nth = snapshot.condition(ConditionType.BFB_TRANSFERRED), _nth(snapshot)
    if found is None or found.reason != REFUSED or not found.message.startswith(nth):
        return None
    return found.message.removeprefix(nth)


def _nth(snapshot: Snapshot) -> str:
    return f"Attempt {snapshot.tracker.failed + 1}: "


def _by_dms(snapshot: Snapshot, sight: Sight, now: datetime) -> Decision:
    bundle, cfg = versions(snapshot)
    wanted = version(snapshot)
    activation = sight.activation
    if sight.running == wanted and activation is not None and not _is_old(snapshot, activation):
        return _activated(snapshot, activation, now)
    if activation is not None and activation.is_active:
        busy = f"The card is at work on {sight.running or 'something else'}"
        return wait(ConditionType.OS_INSTALLED, BUSY, busy, wake_after_s=BUSY_S)
    if sight.installed is None or activation is None:
        untold = f"The management service does not tell what it has{_troubles(sight)}"
        return wait(ConditionType.BFB_TRANSFERRED, FAIL_TO_CHECK, untold, wake_after_s=LATEST_S)
    if sight.running != wanted and snapshot.holds(ConditionType.BFB_TRANSFERRED):
        return _forgotten(snapshot, wanted)
    why = _uncounted(snapshot)
    if why is not None:
        return _attempt_failed(snapshot, snapshot.tracker.last, why)
    missing = [(name, path) for name, path in (bundle, cfg) if name not in sight.installed]
    return _transfer(snapshot, missing, now) if missing else _activate(snapshot, wanted, now)


def _forgotten(snapshot: Snapshot, wanted: str) -> Decision:
    """The order was taken, and nobody remembers it: to give it again could install twice, so the Node has to tell."""
    prepared, node = snapshot.since(ConditionType.BFB_PREPARED), snapshot.node
    made = node.metadata.creationTimestamp if isinstance(node, core.Node) else None
    if made and prepared is not None and clock.parse_rfc3339(made) >= prepared:
        return _installed(Phase.DPU_CONFIG, "the DPU has joined its cluster")
    why = (
        f"The management service does not know any more that it activated {wanted}; waiting for the DPU itself to join "
        f"DPUCluster {snapshot.cluster_key}"
    )
    return wait(ConditionType.OS_INSTALLED, TASK_LOST, why, wake_after_s=LATEST_S)


def _transfer(snapshot: Snapshot, missing: list[tuple[str, str]], now: datetime) -> Decision:
    about, names = ConditionType.BFB_TRANSFERRED, ", ".join(name for name, _ in missing)
    why = f"{names} is given to the management service"
    if snapshot.condition(about) is None:
        return wait(about, TASK_PROGRESS, why, wake_after_s=AT_ONCE_S)
    found = wait(about, TASK_PROGRESS, why, wake_after_s=_soon(snapshot, now))
    settle = _settled(snapshot, found.update)
    for name, path in missing:
        found = _command(found, snapshot, Transfer(version=name, path=path), settle)
    return found


def _activate(snapshot: Snapshot, wanted: str, now: datetime) -> Decision:
    about = ConditionType.OS_INSTALLED
    found = wait(about, "InstallationInProgress", f"{wanted} is activated", wake_after_s=_soon(snapshot, now))
    transferred = Update(states={ConditionType.BFB_TRANSFERRED: conditions.true(str(ConditionType.BFB_TRANSFERRED))})
    update = found.update.also(transferred)
    return _command(found, snapshot, Activate(version=wanted), _settled(snapshot, update))


def _settled(snapshot: Snapshot, update: Update) -> Any:  # noqa: ANN401 - a Settle
    def settle(result: StepResult) -> Update:
        refused = [one.answer for one in result.outcomes if isinstance(one.answer, Refused)]
        return _refused(snapshot, refused[0]) if refused else update

    return settle


def _activated(snapshot: Snapshot, activation: Activation, now: datetime) -> Decision:
    about = ConditionType.OS_INSTALLED
    if activation.is_active:
        why = "The card installs and restarts"
        return wait(about, "InstallationInProgress", why, wake_after_s=_soon(snapshot, now))
    if activation.outcome is Outcome.SUCCESS:
        return _installed(Phase.DPU_CONFIG, "the management service reports success")
    if activation.outcome is Outcome.UNKNOWN:
        why = "The management service does not tell how the restart of the card ended"
        return wait(about, OS_NOT_RUNNING, why, wake_after_s=LATEST_S)
    why = f"{activation.outcome}: {activation.reason or 'no reason is given'}"
    return _attempt_failed(snapshot, str(activation.count), why, about=about)


def _is_old(snapshot: Snapshot, activation: Activation) -> bool:
    """Whether this is the end of the attempt that was counted already."""
    if activation.is_active or not snapshot.tracker.failed or snapshot.tracker.last != str(activation.count):
        return False
    # A card that does not count its restarts: what has been ordered since the last failure is told by the condition.
    found = snapshot.condition(ConditionType.OS_INSTALLED)
    return activation.count is not None or (found is not None and found.reason == FAIL_TO_INSTALL)


def _attempt_failed(
    snapshot: Snapshot, id_: str, why: str, *, about: ConditionType = ConditionType.BFB_TRANSFERRED,
) -> Decision:
    """Count it; begin anew while attempts are left."""
    count, most = snapshot.tracker.failed + 1, snapshot.settings.install_attempts
    if count >= most:
        update = failed(about, FAIL_TO_INSTALL, why).also(Update(fields={"redfishTaskId": None}, states={
            ConditionType.OS_INSTALLED: conditions.false(FAIL_TO_INSTALL, why),
            ConditionType.ERROR: conditions.true(FAIL_TO_INSTALL, f"{_sentence(why)} Tried {_times(count)}"),
        }))
        return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=why)
    note = tracker.remember(snapshot.dpu, tracker.Tracker(failed=count, last=id_), f"attempt {count} of {most} failed")
    text = f"{_sentence(why)} Attempt {count} of {most}; it is tried again"
    return do(wait(about, FAIL_TO_INSTALL, text, wake_after_s=AT_ONCE_S, redfishTaskId=None), note)


def _installed(to: Phase, because: str) -> Decision:
    states = {type_: conditions.true(str(type_)) for type_ in _INSTALLED}
    update = Update(phase=to, states=states, fields={"redfishTaskId": None})
    if to is Phase.REBOOTING:
        update = update.also(Update(fields={"rebootStatus": None}, dropped=frozenset({ConditionType.REBOOTED})))
    about = ConditionType.OS_INSTALLED
    return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=because)


def _booting(snapshot: Snapshot, sight: Sight, now: datetime) -> Decision:
    why = f"The system of the DPU does not run yet: {sight.boot_text or sight.boot or 'nothing is told'}"
    return wait(ConditionType.OS_INSTALLED, OS_NOT_RUNNING, why, wake_after_s=_soon(snapshot, now))


def _unseen(snapshot: Snapshot, now: datetime) -> Decision:
    """Silence costs no attempt; what is known stays."""
    transferred = ConditionType.BFB_TRANSFERRED
    about = ConditionType.OS_INSTALLED if snapshot.holds(transferred) else transferred
    why = snapshot.sight.why if isinstance(snapshot.sight, Silence) else "There is no address to ask the card at"
    return wait(about, FAIL_TO_CHECK, why, wake_after_s=max(1.0, _soon(snapshot, now)))


def _command(found: Decision, snapshot: Snapshot, order: Order, settle: Any) -> Decision:  # noqa: ANN401 - a Settle
    if snapshot.card is None:
        return wait(found.about, FAIL_TO_CHECK, "There is no address to ask the card at", is_invalid=True)
    command = Command(card=snapshot.card, order=order, tells=True)
    return do(found, Drive(intent=command, because=found.why), settle=settle)


def _agent_started(snapshot: Snapshot) -> bool:
    """The agent of this installation: an object is installed once, so any start of its agent is."""
    agent = snapshot.dpu.status.agentStatus
    return agent is not None and agent.lastStartupTime is not None


def _refused_before(snapshot: Snapshot) -> bool:
    return snapshot.condition(ConditionType.BFB_PREPARED) is not None


def _last_boot(snapshot: Snapshot) -> str:
    if isinstance(snapshot.sight, Silence):
        return f"the card does not answer: {snapshot.sight.why}"
    told = (snapshot.sight.boot_text or snapshot.sight.boot) if snapshot.sight is not None else None
    return f"last boot progress: {told or 'unknown'}"


def _told(task: Task) -> str:
    text = "; ".join(task.messages) or "the BMC gives no reason"
    return f"task {task.id} ended with {task.state_text or task.state}: {text}"


def _sentence(text: str) -> str:
    """What a card tells may end with a full stop, or not."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _troubles(sight: Sight) -> str:
    return f": {'; '.join(sight.troubles)}" if sight.troubles else ""


def _number(id_: str) -> int:
    return int(id_) if id_.isascii() and id_.isdigit() and len(id_) < 18 else 0


def _soon(snapshot: Snapshot, now: datetime) -> float:
    """How soon to look again: what has just begun may end at once, what goes on for long will not end just now."""
    since = snapshot.since(ConditionType.BFB_PREPARED)
    age_s = (now - since).total_seconds() if since is not None else 0.0
    return min(LATEST_S, max(SOONEST_S, _SHARE * age_s))
