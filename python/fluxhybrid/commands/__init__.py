"""Commands to devices, as people send and follow them.

Owns nothing: commands live in the engine. Must never send one but through it.
"""
