"""The simulated plant: a process each for thermometers, valve, pump and webhooks.

Owns what a real plant would bring: physics, sensors, a valve, a system that wants to be told. Must
never reach into the platform: its devices come in by MQTT, are polled by Modbus and
called by HTTP, like any other.
"""
