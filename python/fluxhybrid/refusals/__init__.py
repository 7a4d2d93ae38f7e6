"""Refusals, as people see them: why a device does not show up.

Owns nothing: the last refusals are the engine's. Must never keep one, nor tell a client what it is
told here.
"""
