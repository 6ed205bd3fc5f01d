"""The firmware settings of a flavor (`spec.nvconfig`), as others ask for them, and which of them a card knows.

Pure. Called by `checks`, `preflight` and the rendering; the DPU controller and the host network ask for counts.
Sources: behaviour-provisioning.md sections 5.2, 10 and 11; NVIDIA's documentation of mlxconfig for the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dpf.api.dpuflavor import DPUFlavor
from dpf.api.provisioning import DPUType

SF_TOTAL: Final = "PF_TOTAL_SF"
VF_TOTAL: Final = "NUM_OF_VFS"
DEFAULT_VF_COUNT: Final = 16
MAX_FUNCTIONS: Final = 65536
"""More than any card has; the number of a scalable function has 16 bits."""
ALL_DEVICES: Final = "*"
_DELAY_HOST: Final = "DELAY_HOST_OS_INIT"
_OFF: Final = frozenset({"0", "FALSE", "FALSE(0)"})

@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Settings of a family of cards: single names, and prefixes of groups. Not complete: firmware gains settings."""

    names: frozenset[str]
    prefixes: tuple[str, ...]


_ARRAY_INDEX: Final = re.compile(r"\[[0-9.]+\]$")
_PORT_SUFFIX: Final = re.compile(r"_P[12]$")

_EVERY_CARD: Final = frozenset(re.findall(r"\S+", """
    ADVANCED_PCI_SETTINGS ATS_ENABLED CQE_COMPRESSION DCBX_CEE DCBX_IEEE DCBX_WILLING ECPF_ESWITCH_MANAGER
    ECPF_PAGE_SUPPLIER FLEX_PARSER_PROFILE_ENABLE FORCE_ETH_PCI_SUBCLASS HIDE_PORT2_PF IB_ROUTING_MODE
    INTERNAL_CPU_ESWITCH_MANAGER INTERNAL_CPU_IB_VPORT0 INTERNAL_CPU_MODEL INTERNAL_CPU_OFFLOAD_ENGINE
    INTERNAL_CPU_PAGE_SUPPLIER INTERNAL_CPU_RSHIM IP_VER KEEP_ETH_LINK_UP KEEP_IB_LINK_UP KEEP_LINK_UP_ON_BOOT
    KEEP_LINK_UP_ON_STANDBY LAG_RESOURCE_ALLOCATION LEGACY_BOOT_PROTOCOL LINK_TYPE LOG_DCR_HASH_TABLE_SIZE
    LOG_MAX_OUTSTANDING_WQE LOG_MAX_QUEUE MAX_ACC_OUT_READ MEMIC_BAR_SIZE MEMIC_SIZE_LIMIT MKEY_BY_NAME
    MULTI_PORT_VHCA_EN NON_PREFETCHABLE_PF_BAR NUM_OF_PF NUM_OF_PFC NUM_OF_TC NUM_OF_VFS NUM_OF_VL NUM_PF_MSIX
    NUM_PF_MSIX_VALID NUM_VF_MSIX PARTIAL_RESET_EN PCI_ATOMIC_MODE PCI_DOWNSTREAM_PORT_OWNER PCI_WR_ORDERING
    PER_PF_NUM_SF PF_BAR2_ENABLE PF_BAR2_SIZE PF_LOG_BAR_SIZE PF_NUM_OF_VF PF_NUM_OF_VF_VALID PF_NUM_PF_MSIX
    PF_NUM_PF_MSIX_VALID PF_SF_BAR_SIZE PF_TOTAL_SF PORT_OWNER PROG_PARSE_GRAPH QOS_TRUST_STATE REAL_TIME_CLOCK_ENABLE
    SAFE_MODE_ENABLE SAFE_MODE_THRESHOLD SRIOV_EN SRIOV_IB_ROUTING_MODE STRICT_VF_MSIX_NUM TRACER_ENABLE UCTX_EN
    UEFI_HII_EN UEFI_LOGS USER_PROGRAMMABLE_CC VF_LOG_BAR_SIZE VF_NODNIC_ENABLE VF_VPD_ENABLE WOL_MAGIC_EN
    ZERO_TOUCH_TUNING_ENABLE
"""))
_EVERY_CARD_PREFIXES: Final = (
    "BOOT_", "CNP_", "EXP_ROM_", "LLDP_NB_", "LRO_LOG_TIMEOUT", "NVME_EMULATION_", "PCI_SWITCH_EMULATION_", "PHY_",
    "ROCE_", "RPG_", "VIRTIO_BLK_EMULATION_", "VIRTIO_NET_EMULATION_",
)
_BLUEFIELD_3: Final = frozenset({"DPA_AUTHENTICATION", _DELAY_HOST})
_BLUEFIELD_3_PREFIXES: Final = ("PCI_BUS", "VIRTIO_FS_EMULATION_")
_KNOWN: Final = {
    DPUType.BLUEFIELD_2: Keys(names=_EVERY_CARD, prefixes=_EVERY_CARD_PREFIXES),
    DPUType.BLUEFIELD_3: Keys(
        names=_EVERY_CARD | _BLUEFIELD_3, prefixes=(*_EVERY_CARD_PREFIXES, *_BLUEFIELD_3_PREFIXES)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One `KEY=VALUE`. `device` is `*`, `p0` or `p1`; `entry` and `index` say where in the flavor it stands."""

    device: str
    key: str
    value: str
    entry: int
    index: int

    @property
    def field(self) -> str:
        """Its path below the flavor."""
        return f"spec.nvconfig[{self.entry}].parameters[{self.index}]"


def settings(flavor: DPUFlavor) -> Iterator[Setting]:
    """Every setting in the order of the flavor."""
    entries = (flavor.spec.nvconfig if flavor.spec is not None else None) or ()
    for entry, config in enumerate(entries):
        for index, text in enumerate(config.parameters or ()):
            key, _, value = text.partition("=")
            yield Setting(device=device_of(config.device), key=key, value=value, entry=entry, index=index)


def device_of(device: str | None) -> str:
    """`*`, `p0` or `p1`; an absent or empty device means all."""
    return (device or ALL_DEVICES).lower()


def sf_count(flavor: DPUFlavor) -> int:
    """How many scalable functions the DPU makes at each boot: the first PF_TOTAL_SF, 0 without one."""
    return _count(flavor, SF_TOTAL) or 0


def vf_count(flavor: DPUFlavor) -> int:
    """How many virtual functions the host makes on a port: the first NUM_OF_VFS, else 16 (section 11)."""
    count = _count(flavor, VF_TOTAL)
    return DEFAULT_VF_COUNT if count is None else count


def delays_host(flavor: DPUFlavor) -> bool:
    """Whether the host waits for the DPU at its start: only a zero-trust deployment can release it (section 5.2)."""
    return any(s.key.upper() == _DELAY_HOST and s.value.upper() not in _OFF for s in settings(flavor))


def known_keys(card: DPUType) -> Keys | None:
    """The settings that we know of that card, without port suffix and array index; None where we have no list."""
    return _KNOWN.get(card)


def is_known(key: str, keys: Keys) -> bool:
    """Whether `key` is one of `keys`, with or without the number of a port or an array index."""
    name = _ARRAY_INDEX.sub("", key).upper()
    return name in keys.names or _PORT_SUFFIX.sub("", name) in keys.names or name.startswith(keys.prefixes)


def is_count(value: str) -> bool:
    """Whether the setting is a plausible number of functions."""
    return value.isascii() and value.isdigit() and len(value) <= 6 and int(value) <= MAX_FUNCTIONS


def _count(flavor: DPUFlavor, key: str) -> int | None:
    """The first setting of that name; one that is no number is told by `checks`."""
    found = (setting.value for setting in settings(flavor) if setting.key.upper() == key and is_count(setting.value))
    return next((int(value) for value in found), None)
