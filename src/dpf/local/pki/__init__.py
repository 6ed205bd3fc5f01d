"""Keys and certificates of a local platform: ECDSA P-256 throughout, in private folders, kept and renewed.

`certificates` builds and judges, `store` keeps them in files, `cluster` knows what one Kubernetes cluster needs,
`services` what the platform's own https services need, `kubeconfig` writes the file that clients read.
"""
