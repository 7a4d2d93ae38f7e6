"""MQTT, as far as people configure it.

Owns the accounts that are not devices, with their topic grants, and publishing over HTTP. Must
never speak the protocol: that is the engine's.
"""
