"""DPUServiceCredentialRequest: a ServiceAccount in a cluster, and a Secret with a token for it that is kept fresh."""
