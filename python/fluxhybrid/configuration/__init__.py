"""Configuration as a whole: what is stored, what is in force, and the way from one to the other.

Owns the generation, the document the engine compiles, and the order of a change: validate, check,
commit, apply. Must never know what a single kind of thing means; that is each feature's.
"""
