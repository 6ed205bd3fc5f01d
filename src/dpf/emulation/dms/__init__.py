"""An emulated DMS: gNOI and gNMI for the cards of one host, at the far end of a real TLS socket.

    settings, faults               what is set for it, what is wrong with it
    records, images                what its cards remember, and what files they have
    card                           how a card behaves
    services, server               how it answers
    tlsfolder, bootsocket          its certificate; whom it tells that a system starts
    __main__                       a container of the DMS pod on an emulated host

No firmware is flashed and no Arm core starts: what would boot is handed to `settings.Hooks`.
"""
