"""The machine room of the local platform: cards, their systems, the hosts they are in, and who looks after them.

    settings                       what there is, from a file
    record, nodesfile, tree        what a system was started from; what the kubelets read; a host's PCI tree
    systems, hosts                 what runs on the cards; the hosts
    panel, control, bootsocket     how all this is steered from outside
    bundles, attendant             the server of software bundles; the person who reboots hosts
    hostpod                        the programs of pods on emulated hosts
    room, __main__                 all of it in one process

What a card is to a controller is in `emulation.bmc` (Redfish) and `emulation.dms` (gNOI). Nothing here flashes
anything: the system of a card is the kubelet node, and the agent, that its bf.cfg asks for.
"""
