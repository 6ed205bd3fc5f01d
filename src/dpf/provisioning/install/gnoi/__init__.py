"""gNOI and gNMI: a DMS on the host is asked and ordered over gRPC (behaviour-provisioning.md section 8).

    messages, errors      what goes over the wire, as published; what goes wrong
    channels              connections: who we are, who answers, one per DMS
    dms, conversation     one card behind a DMS
    reading, installer    what its answers mean; the port
"""
