"""The simulated plant: one process for the thermometers, one for the valve, one for the webhooks.

Owns what a real plant would bring: physics, sensors, a valve, a system that wants to be told. Must
never reach into the platform: its devices come in by MQTT, and are called by HTTP, like any other.
"""
