"""`dpfctl describe`: which objects there are, how they hang together, which are ready and why the others are not.

discover (reads) -> tree (pure) -> table or document (pure). A new kind is a declaration in `kinds`.
"""
