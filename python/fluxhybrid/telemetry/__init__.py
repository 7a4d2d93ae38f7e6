"""Telemetry, as people read it: last values, firings, the live stream.

Owns nothing: all of it is the engine's data. Must never keep a value.
"""
