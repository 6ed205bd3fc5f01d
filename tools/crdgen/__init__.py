"""Writes the CRDs in `deploy/crds` from the Structs of `dpf.api`. Run as `python -m tools.crdgen [--check]`.

`structural` turns a Struct into a structural schema, `manifest` wraps it into a CustomResourceDefinition. Both are pure
and know no particular kind: a new kind is a new Struct with `resource` and `crd`.
"""
