"""How a machine becomes a node: the bootstrap of kubeadm, from a token and CA pins to a client certificate."""
