"""provisioning.dpu.nvidia.com/v1alpha1 DPUDiscovery: addresses with BMCs (api-provisioning.md section 10)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api import provisioning
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Column, Rule, Schema

_IPV4_PATTERN: Final = r"^((25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)$"
_LONGEST: Final = 45
"""Characters of an IPv6 address: long enough for the rule about these to be heard."""


class ConditionType(StrEnum):
    """Conditions of a DPUDiscovery."""

    READY = "Ready"
    """The range can be scanned, and the last scan was complete."""


class IPRange(Model):
    """Addresses from the first to the last, both included."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(rule="self.startIP != ''", message="StartIP cannot be empty"),
        Rule(rule="self.endIP != ''", message="EndIP cannot be empty"),
    ))

    startIP: Annotated[
        str, Schema(pattern=_IPV4_PATTERN, max_length=_LONGEST, required=True, description="First address.")
    ] = ""
    endIP: Annotated[
        str, Schema(pattern=_IPV4_PATTERN, max_length=_LONGEST, required=True, description="Last address.")
    ] = ""
    port: Annotated[
        int, Schema(minimum=1, maximum=65535, default=443, required=False, description="Port of the BMCs.")
    ] = 443


class IPRangeSpec(Model):
    """Where BMCs are looked for."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(
            rule="has(self.ipRange) && has(self.ipRange.startIP) && has(self.ipRange.endIP)",
            message="Both startIP and endIP must be provided",
        ),
        Rule(
            rule="!has(self.ipRange) || (self.ipRange.startIP != '0.0.0.0' && self.ipRange.endIP != '0.0.0.0')",
            message="IP addresses cannot be 0.0.0.0",
        ),
        Rule(
            rule="!has(self.ipRange) || (!self.ipRange.startIP.contains(':') && !self.ipRange.endIP.contains(':'))",
            message="Only IPv4 addresses are supported (IPv6 not allowed)",
        ),
    ))

    ipRange: Annotated[IPRange, Schema(required=True, description="Range of IPv4 addresses.")] = IPRange()


class DPUDiscoverySpec(Model):
    """What is scanned, and how often."""

    ipRangeSpec: Annotated[IPRangeSpec, Schema(required=True, description="Where BMCs are looked for.")] = IPRangeSpec()
    scanInterval: Annotated[
        str, Schema(format="duration", default="1h", required=False, description="Time between two scans.")
    ] = "1h"
    workers: Annotated[
        int | None,
        Schema(minimum=1, description="How many addresses are asked at the same time; absent means 1 per 255."),
    ] = None


class DPUDiscoveryStatus(Model):
    """What was observed."""

    conditions: provisioning.Conditions = None
    lastScanTime: Annotated[str | None, Schema(format="date-time", description="When the last scan ended.")] = None
    foundDPUs: Annotated[int | None, Schema(description="DPUs that are known in the range.")] = None


class DPUDiscovery(Object):
    """Finds DPUs by their BMCs, and makes DPUDevices for them."""

    resource: ClassVar[Resource] = Resource(
        provisioning.GROUP, provisioning.VERSION, "DPUDiscovery", "dpudiscoveries"
    )
    crd: ClassVar[CRD] = CRD(columns=(
        Column(name="Last Scan", path=".status.lastScanTime", type="date"),
        Column(name="Found DPUs", path=".status.foundDPUs", type="integer"),
    ))
    spec: DPUDiscoverySpec | None = None
    status: DPUDiscoveryStatus = DPUDiscoveryStatus()
