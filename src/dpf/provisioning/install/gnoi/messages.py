"""The protobuf messages of gNMI and gNOI that a DMS is spoken to with (behaviour-provisioning.md section 8).

Declared here with the published packages, names and numbers, and made into classes when this module is loaded (ADR
0013). Fields that nobody here uses are left out; protobuf keeps them when they come. Called by the client in this
folder and by the emulated DMS. The classes are in a pool of their own, so that they get along with anybody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto

_SCALARS: Final = {
    "bool": _Field.TYPE_BOOL, "bytes": _Field.TYPE_BYTES, "int64": _Field.TYPE_INT64, "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32, "uint64": _Field.TYPE_UINT64,
    "enum": _Field.TYPE_INT32,  # the same bytes; the numbers have their names in the enums below
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """Fields as `name: "type number"`, `*` before a repeated one. `choice`: at most one of these is set."""

    fields: Mapping[str, str]
    choice: str = ""
    chosen: tuple[str, ...] = ()


def _one_of(choice: str, **fields: str) -> _Message:
    return _Message(fields=fields, choice=choice, chosen=tuple(fields))


def _all_of(**fields: str) -> _Message:
    return _Message(fields=fields)


_PACKAGES: Final[Mapping[str, Mapping[str, _Message]]] = {
    "gnoi.types": {
        "PathElem": _all_of(name="string 1"),
        "Path": _all_of(origin="string 2", elem="*.gnoi.types.PathElem 3"),
    },
    "gnoi.os": {
        "TransferRequest": _all_of(version="string 1", standby_supervisor="bool 2", package_size="uint64 3"),
        "TransferEnd": _all_of(),
        "InstallRequest": _one_of(
            "request", transfer_request=".gnoi.os.TransferRequest 1", transfer_content="bytes 2",
            transfer_end=".gnoi.os.TransferEnd 3",
        ),
        "TransferReady": _all_of(),
        "TransferProgress": _all_of(bytes_received="uint64 1"),
        "SyncProgress": _all_of(percentage_transferred="uint32 1"),
        "Validated": _all_of(version="string 1", description="string 2"),
        "InstallError": _all_of(type="enum 1", detail="string 2"),
        "InstallResponse": _one_of(
            "response", transfer_ready=".gnoi.os.TransferReady 1", transfer_progress=".gnoi.os.TransferProgress 2",
            sync_progress=".gnoi.os.SyncProgress 3", validated=".gnoi.os.Validated 4",
            install_error=".gnoi.os.InstallError 5",
        ),
        "ActivateRequest": _all_of(version="string 1", standby_supervisor="bool 2", no_reboot="bool 3"),
        "ActivateOK": _all_of(),
        "ActivateError": _all_of(type="enum 1", detail="string 2"),
        "ActivateResponse": _one_of(
            "response", activate_ok=".gnoi.os.ActivateOK 1", activate_error=".gnoi.os.ActivateError 2",
        ),
        "VerifyRequest": _all_of(),
        "VerifyResponse": _all_of(version="string 1", activation_fail_message="string 2"),
    },
    "gnoi.system": {
        "RebootRequest": _all_of(
            method="enum 1", delay="uint64 2", message="string 3", subcomponents="*.gnoi.types.Path 4", force="bool 5",
        ),
        "RebootResponse": _all_of(),
        "RebootStatusRequest": _all_of(subcomponents="*.gnoi.types.Path 1"),
        "RebootStatus": _all_of(status="enum 1", message="string 2"),
        "RebootStatusResponse": _all_of(
            active="bool 1", wait="uint64 2", when="uint64 3", reason="string 4", count="uint32 5", method="enum 6",
            status=".gnoi.system.RebootStatus 7",
        ),
    },
    "gnmi": {
        "PathElem": _all_of(name="string 1"),
        "Path": _all_of(origin="string 2", elem="*.gnmi.PathElem 3", target="string 4"),
        "TypedValue": _one_of(
            "value", string_val="string 1", json_val="bytes 10", json_ietf_val="bytes 11", ascii_val="string 12",
        ),
        "Update": _all_of(path=".gnmi.Path 1", val=".gnmi.TypedValue 3"),
        "Notification": _all_of(timestamp="int64 1", prefix=".gnmi.Path 2", update="*.gnmi.Update 4"),
        "SetRequest": _all_of(
            prefix=".gnmi.Path 1", delete="*.gnmi.Path 2", replace="*.gnmi.Update 3", update="*.gnmi.Update 4",
        ),
        "UpdateResult": _all_of(path=".gnmi.Path 2", op="enum 4"),
        "SetResponse": _all_of(prefix=".gnmi.Path 1", response="*.gnmi.UpdateResult 2", timestamp="int64 4"),
        "GetRequest": _all_of(prefix=".gnmi.Path 1", path="*.gnmi.Path 2", type="enum 3", encoding="enum 5"),
        "GetResponse": _all_of(notification="*.gnmi.Notification 1"),
    },
}


class Refusal(IntEnum):
    """`type` of InstallError."""

    UNSPECIFIED = 0
    INCOMPATIBLE = 1
    TOO_LARGE = 2
    PARSE_FAIL = 3
    INTEGRITY_FAIL = 4
    INSTALL_RUN_PACKAGE = 5
    INSTALL_IN_PROGRESS = 6


class NotActivated(IntEnum):
    """`type` of ActivateError."""

    UNSPECIFIED = 0
    NON_EXISTENT_VERSION = 1


class Status(IntEnum):
    """`status` of RebootStatus: how the last activation ended."""

    UNKNOWN = 0
    SUCCESS = 1
    RETRIABLE_FAILURE = 2
    FAILURE = 3


def _file(package: str, messages: Mapping[str, _Message]) -> descriptor_pb2.FileDescriptorProto:
    uses = {kind.lstrip("*.").rsplit(".", 1)[0] for one in messages.values() for kind in one.fields.values()}
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.extend(f"{other}.proto" for other in sorted(uses & (set(_PACKAGES) - {package})))
    for name, message in messages.items():
        described = file.message_type.add(name=name)
        if message.choice:
            described.oneof_decl.add(name=message.choice)
        for field, kind in message.fields.items():
            described.field.append(_field(field, kind, is_chosen=field in message.chosen))
    return file


def _field(name: str, kind: str, *, is_chosen: bool) -> descriptor_pb2.FieldDescriptorProto:
    kind, number = kind.split()
    label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.lstrip("*")
    field = _Field(name=name, number=int(number), label=label)
    if kind.startswith("."):
        field.type, field.type_name = _Field.TYPE_MESSAGE, kind
    else:
        field.type = _SCALARS[kind]
    if is_chosen:
        field.oneof_index = 0
    return field


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for package, messages in _PACKAGES.items():
        pool.Add(_file(package, messages))
    return pool


_POOL: Final = _pool()


def _class(name: str) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


TransferRequest: Final = _class("gnoi.os.TransferRequest")
TransferEnd: Final = _class("gnoi.os.TransferEnd")
InstallRequest: Final = _class("gnoi.os.InstallRequest")
TransferReady: Final = _class("gnoi.os.TransferReady")
TransferProgress: Final = _class("gnoi.os.TransferProgress")
Validated: Final = _class("gnoi.os.Validated")
InstallError: Final = _class("gnoi.os.InstallError")
InstallResponse: Final = _class("gnoi.os.InstallResponse")
ActivateRequest: Final = _class("gnoi.os.ActivateRequest")
ActivateOK: Final = _class("gnoi.os.ActivateOK")
ActivateError: Final = _class("gnoi.os.ActivateError")
ActivateResponse: Final = _class("gnoi.os.ActivateResponse")
VerifyRequest: Final = _class("gnoi.os.VerifyRequest")
VerifyResponse: Final = _class("gnoi.os.VerifyResponse")
RebootRequest: Final = _class("gnoi.system.RebootRequest")
RebootResponse: Final = _class("gnoi.system.RebootResponse")
RebootStatusRequest: Final = _class("gnoi.system.RebootStatusRequest")
RebootStatus: Final = _class("gnoi.system.RebootStatus")
RebootStatusResponse: Final = _class("gnoi.system.RebootStatusResponse")
SystemPath: Final = _class("gnoi.types.Path")
SystemPathElem: Final = _class("gnoi.types.PathElem")
Path: Final = _class("gnmi.Path")
PathElem: Final = _class("gnmi.PathElem")
TypedValue: Final = _class("gnmi.TypedValue")
Update: Final = _class("gnmi.Update")
UpdateResult: Final = _class("gnmi.UpdateResult")
Notification: Final = _class("gnmi.Notification")
SetRequest: Final = _class("gnmi.SetRequest")
SetResponse: Final = _class("gnmi.SetResponse")
GetRequest: Final = _class("gnmi.GetRequest")
GetResponse: Final = _class("gnmi.GetResponse")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One call: its service and name, and the classes of what goes there and comes back. `streams`: both ways."""

    service: str
    name: str
    request: Any
    response: Any
    streams: bool = False

    @property
    def path(self) -> str:
        """As gRPC addresses it."""
        return f"/{self.service}/{self.name}"


OS: Final = "gnoi.os.OS"
SYSTEM: Final = "gnoi.system.System"
GNMI: Final = "gnmi.gNMI"

INSTALL: Final = Method(service=OS, name="Install", request=InstallRequest, response=InstallResponse, streams=True)
ACTIVATE: Final = Method(service=OS, name="Activate", request=ActivateRequest, response=ActivateResponse)
VERIFY: Final = Method(service=OS, name="Verify", request=VerifyRequest, response=VerifyResponse)
REBOOT: Final = Method(service=SYSTEM, name="Reboot", request=RebootRequest, response=RebootResponse)
REBOOT_STATUS: Final = Method(
    service=SYSTEM, name="RebootStatus", request=RebootStatusRequest, response=RebootStatusResponse,
)
SET: Final = Method(service=GNMI, name="Set", request=SetRequest, response=SetResponse)
GET: Final = Method(service=GNMI, name="Get", request=GetRequest, response=GetResponse)

TARGET: Final = "target"
"""The metadata that says which card is meant: its address on the PCI bus."""
MODE: Final = ("nvidia", "mode", "config", "mode")
"""Where a card's mode is set."""


def path(*names: str) -> Any:  # noqa: ANN401 - a protobuf message
    """A path of gNMI."""
    return Path(elem=[PathElem(name=name) for name in names])


def names_of(*paths: Any) -> tuple[str, ...]:  # noqa: ANN401 - protobuf messages
    """The names of paths of gNMI or gNOI, one behind the other: a prefix and what follows it."""
    return tuple(elem.name for path in paths for elem in path.elem)
