"""Rules.

Owns what a rule is, its versions, and trying one out. Must never evaluate a message by itself:
scripts run in the engine.
"""
