"""Speaks for the controllers of provisioning and chains that this release does not have yet.

The demo and the end-to-end tests run it, nobody else: it says Ready for what it has only looked at. It goes away piece
by piece as the real controllers arrive.
"""
