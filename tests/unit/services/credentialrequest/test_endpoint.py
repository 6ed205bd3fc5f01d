"""Where the API server is, as consumers are told."""

from __future__ import annotations

import base64

import yaml
from tests.support import dpuclusters
from tests.unit.kube.certificates import a_pair

from dpf.kube import client
from dpf.services.credentialrequest import endpoint
from dpf.services.credentialrequest.snapshot import Endpoint, Unusable


def test_the_host_is_where_this_process_finds_it() -> None:
    known = client.Endpoint(server="https://10.0.0.1:443", ca_pem=b"CA", tls_server_name="kubernetes")
    assert endpoint.of_host(known) == Endpoint(
        cluster_name="incluster", server="https://10.0.0.1:443", ca_data="Q0E=", tls_server_name="kubernetes"
    )
    assert endpoint.of_host(client.Endpoint(server="https://h", insecure=True)).ca_data == ""


def test_a_dpu_cluster_is_where_its_kubeconfig_says() -> None:
    cluster = dpuclusters.a_dpucluster(kubeconfig="admin")
    assert endpoint.of_dpucluster(cluster, dpuclusters.a_secret()) == Endpoint(
        cluster_name="c0", server=dpuclusters.SERVER, insecure=True
    )


def test_the_ca_is_passed_on_as_one_line() -> None:
    ca = base64.b64encode(a_pair().certificate).decode()
    wrapped = "\n".join(ca[n:n + 64] for n in range(0, len(ca), 64))
    text = yaml.safe_dump({
        "clusters": [{"name": "t", "cluster": {"server": "https://a:1", "certificate-authority-data": wrapped}}],
        "users": [{"name": "u", "user": {"token": "not-for-eyes"}}],
    })
    secret = dpuclusters.a_secret(content=text.encode())
    found = endpoint.of_dpucluster(dpuclusters.a_dpucluster(kubeconfig="admin"), secret)
    assert isinstance(found, Endpoint)
    assert found.ca_data == ca


def test_what_is_missing_is_told_without_a_part_of_it() -> None:
    unnamed = endpoint.of_dpucluster(dpuclusters.a_dpucluster(), None)
    assert unnamed == Unusable(why="spec.kubeconfig is not set (phase Pending)")
    named = dpuclusters.a_dpucluster(kubeconfig="admin")
    missing = endpoint.of_dpucluster(named, None)
    assert isinstance(missing, Unusable)
    assert "secret dpf-operator-system/admin, which spec.kubeconfig names, does not exist" in missing.why
    two = endpoint.of_dpucluster(named, dpuclusters.a_secret(content=dpuclusters.a_kubeconfig(users=2)))
    assert isinstance(two, Unusable)
    assert "auth info list should have one member" in two.why
    assert "not-for-eyes" not in two.why
