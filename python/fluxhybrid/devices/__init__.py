"""Devices and products.

Owns what a product and a device are, and their secrets. Must never hold telemetry: whether a
device is online, and what it last said, is read from the engine.
"""
