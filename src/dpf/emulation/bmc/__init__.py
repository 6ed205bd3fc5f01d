"""Emulated BMCs: Redfish of a BlueField-3 at the far end of a real TLS socket (behaviour-provisioning.md 9 and 14).

    splitting, documents, certificates   values in, values out
    records, faults, settings            what a card is, what is wrong with it, what is set for it
    card, fetching                       how it behaves
    replies, actions, server             how it answers
    emulator, control                    many of them in one process, and how they are steered

No firmware is flashed and no Arm core starts: what would boot is handed to `settings.Hooks`.
"""
