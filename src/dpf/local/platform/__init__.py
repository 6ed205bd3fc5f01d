"""The local platform: one machine, real engines, emulated hardware (design section 6).

`up`, `down` and `status` are the verbs of `dpfctl local`; `settings` is what a state folder remembers. Nothing here
runs in production.
"""
