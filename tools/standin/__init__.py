"""Speaks for the controllers of service chains and their interfaces that this release does not have yet.

The demo and the end-to-end tests run it, nobody else: it says Ready for what it has only looked at. It goes away when
the real controllers arrive.
"""
