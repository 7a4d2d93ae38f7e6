"""Alarms, as people see and handle them.

Owns nothing: alarms live in the engine. Must never change one but through it.
"""
