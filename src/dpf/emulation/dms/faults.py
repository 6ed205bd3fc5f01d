"""What is wrong with an emulated card: a file in the card's folder, which anybody may change while the DMS runs.

`read` is asked before each answer, `write` is for whoever sets faults, from any process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from dpf.local import files

FILE: Final = "faults.json"
Counter = Annotated[int, msgspec.Meta(ge=-1, le=1_000_000)]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The default is a card without faults. Counters go down as they are used up; -1 never ends.

    slow               seconds before each answer
    never_answers      calls are taken and never answered
    wrong_mode         the card stays a plain network card, whatever it is told, and activates nothing
    retriable_failure  next so many activations fail, and may succeed later
    failure            next so many activations fail for good
    reset_transfer     next so many transfers are cut off in the middle
    power_loss         next so many activations end because the host loses power: the card knows nothing of them
    answer_lost        next so many activations begin, and their answer gets lost
    """

    slow: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    never_answers: bool = False
    wrong_mode: bool = False
    retriable_failure: Counter = 0
    failure: Counter = 0
    reset_transfer: Counter = 0
    power_loss: Counter = 0
    answer_lost: Counter = 0


NONE: Final = Faults()


def read(folder: Path) -> Faults:
    """Those of the card with this folder. Raises ValueError, with the reason, for a file that says something else."""
    content = files.read_if_exists(folder / FILE)
    return NONE if content is None else msgspec.json.decode(content, type=Faults)


def write(folder: Path, faults: Faults) -> None:
    """Set them; NONE takes them away. Raises OSError."""
    files.ensure_private_folder(folder)
    files.write_atomic(folder / FILE, msgspec.json.encode(faults))


def use(folder: Path, counter: str) -> bool:
    """Use a counter up by one; whether the fault strikes. Raises ValueError, OSError."""
    faults = read(folder)
    left: int = getattr(faults, counter)
    if left > 0:
        write(folder, msgspec.structs.replace(faults, **{counter: left - 1}))
    return left != 0
