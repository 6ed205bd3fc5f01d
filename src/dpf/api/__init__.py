"""Wire types of every kind this project reads or writes: msgspec Structs, no behaviour.

Our own kinds (`dpuservice`, `dpucluster`, `dpfoperatorconfig`) are complete and are the single source of the CRDs in
`deploy/crds`. Foreign kinds (`core`, `argocd`, ...) model only the fields this project touches: decoding drops the
rest, so a foreign object is never written back whole, only by server-side apply or a patch of the fields we own.
"""
