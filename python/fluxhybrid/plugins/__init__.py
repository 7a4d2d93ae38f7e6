"""Plugins: writing them, building them, trying them.

Owns what an author of plugins needs from nothing to a tested module: templates, compilers, recorded
vectors, the way to a running server. Must never carry a message: that is the engine's.
"""
