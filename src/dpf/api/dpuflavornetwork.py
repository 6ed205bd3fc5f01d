"""Network settings in a DPUFlavor: ports of the host, east-west cards, groups of functions (section 6)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from dpf.api.meta import FreeForm, Model
from dpf.api.schema import Rule, Schema

_DEVICE: Final = r"^(\*|[pP][0-9]+|[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])$"
_CPU_LIST: Final = "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"

Device = Annotated[str | None, Schema(pattern=_DEVICE, description="Port or PCI address; absent means any.")]
PoolName = Annotated[
    str | None,
    Schema(max_length=63, pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Pool that hands them out."),
]
MACAddress = Annotated[str | None, Schema(pattern="^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", description="MAC address.")]

ONE_MAC_RULE: Final = Rule(
    rule="!has(self.options) || !has(self.options.macAddress) || self.count == 1",
    message="options.macAddress requires count == 1"
)


def _repeated_port_rule(port: int, index: int) -> Rule:
    """`port` must not be the first repetition, at `index` (1 or 2)."""
    first_pair = "self[0].portNumber == self[1].portNumber"
    repeated = first_pair if index == 1 else f"!({first_pair})"
    return Rule(
        rule=f"self.size() <= {index} || !({repeated} && self[{index}].portNumber == {port})",
        message=f"host network interface configs are misconfigured: duplicate port number {port} found at index "
                f"{index}",
    )


UNIQUE_PORT_RULES: Final = tuple(_repeated_port_rule(port, index) for port in (0, 1) for index in (1, 2))
"""There are two ports, so that of three entries one repeats another: the first repetition is at index 1 or 2.

One rule for each message, because a message that is put together at run time would exceed the API server's cost limit.
"""


class HostNetworkInterfaceConfig(Model):
    """One port of the DPU as the host uses it."""

    portNumber: Annotated[int, Schema(minimum=0, maximum=1, description="Number of the port.")]
    mtu: Annotated[int | None, Schema(minimum=1280, maximum=9216, description="MTU on the host.")] = None
    dhcp: Annotated[bool | None, Schema(description="The host gets its address by DHCP.")] = None
    nvconfig: Annotated[object, Schema(preserve_unknown=True, description="Firmware settings of the port.")] = None


class SpectrumXOptimized(Model):
    """Settings for a Spectrum-X fabric."""

    enabled: Annotated[bool | None, Schema(description="Whether they are applied.")] = None
    version: Annotated[str | None, Schema(description="Version of the reference configuration.")] = None
    overlay: Annotated[str | None, Schema(description="Kind of overlay.")] = None
    multiplaneMode: Annotated[str | None, Schema(description="How the planes are used.")] = None
    numberOfPlanes: Annotated[int | None, Schema(description="How many planes there are.")] = None


class RawNVConfig(Model):
    """One firmware setting."""

    name: Annotated[str, Schema(description="Name of the setting.")]
    value: Annotated[str, Schema(description="Its value.")]


class EWNICConfiguration(Model):
    """An east-west network card."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(
            rule="!has(self.spectrumXOptimized) || !has(self.spectrumXOptimized.enabled) || "
                 "!self.spectrumXOptimized.enabled || (self.numVfs == 1 && "
                 "(has(self.linkType) ? self.linkType == 'Ethernet' : has(self.networkBay)))",
            message="spectrumXOptimized can be enabled only when linkType=='Ethernet' (or unset for Network Bay) and "
                    "numVfs==1",
        ),
        Rule(rule="has(self.linkType) || has(self.networkBay)",
             message="linkType is required unless networkBay is configured"),
        Rule(rule="!has(self.linkType) || !has(self.networkBay)",
             message="linkType must not be set when networkBay is configured (the Network Bay link type is governed "
                     "by the system configuration)"),
    ))

    numVfs: Annotated[int, Schema(description="How many virtual functions it has.")]
    linkType: Annotated[str | None, Schema(enum=("Ethernet", "Infiniband"), description="Kind of link.")] = None
    spectrumXOptimized: Annotated[
        SpectrumXOptimized | None, Schema(description="Settings for a Spectrum-X fabric.")
    ] = None
    rawNvConfig: Annotated[list[RawNVConfig] | None, Schema(description="Further firmware settings.")] = None
    networkBay: Annotated[
        FreeForm | None, Schema(preserve_unknown=True, description="Network Bay; any structure below `conf`.")
    ] = None
    force: Annotated[
        bool, Schema(default=False, required=False, description="Set it although the firmware objects.")
    ] = False


class ScalableFunctionOptions(Model):
    """How each function of a group is made."""

    macAddress: MACAddress = None
    sfNumStart: Annotated[int | None, Schema(minimum=0, maximum=65535, description="Number of the first.")] = None
    trusted: Annotated[bool | None, Schema(description="It may change its own filters.")] = None
    controller: Annotated[int | None, Schema(minimum=0, maximum=15, description="Controller that it is on.")] = None
    cpuList: Annotated[
        str | None, Schema(max_length=200, pattern=_CPU_LIST, description="CPUs of its interrupts, e.g. 0-3,6.")
    ] = None
    disableRoCE: Annotated[bool | None, Schema(description="No RDMA over Ethernet.")] = None
    disableNetdev: Annotated[bool | None, Schema(description="No network interface of the kernel.")] = None


class ScalableFunctions(Model):
    """A group of scalable functions."""

    schema: ClassVar[Schema] = Schema(rules=(
        ONE_MAC_RULE,
        Rule(rule="!has(self.poolName) || !has(self.hostDevice) || !self.hostDevice",
             message="poolName must not be set when hostDevice is true"),
    ))

    count: Annotated[int, Schema(minimum=0, description="How many.")]
    device: Device = None
    hostDevice: Annotated[bool | None, Schema(description="They belong to the host.")] = None
    poolName: PoolName = None
    options: Annotated[ScalableFunctionOptions | None, Schema(description="How each is made.")] = None


class VirtualFunctionOptions(Model):
    """How each function of a group is made."""

    macAddress: MACAddress = None


class VirtualFunctions(Model):
    """A group of virtual functions."""

    schema: ClassVar[Schema] = Schema(rules=(ONE_MAC_RULE,))

    count: Annotated[int, Schema(minimum=0, description="How many.")]
    device: Device = None
    poolName: PoolName = None
    options: Annotated[VirtualFunctionOptions | None, Schema(description="How each is made.")] = None
