"""The objects that most settings name."""

OBJECTS = [
    {"object": "analog-input,1", "name": "supply", "unit": "°C"},
    {
        "object": "analog-input,1",
        "property": "event-state",
        "name": "supply_state",
        "enum": {"0": "normal", "3": "high"},
    },
    {"object": "accumulator,2", "name": "energy", "scale": 0.1, "add": 5},
    {
        "object": "multi-state-value,3",
        "name": "mode",
        "enum": {"1": "off", "2": "heat", "3": "cool"},
    },
    {"object": "binary-output,4", "name": "fan", "priority": 8},
    {"object": "bitstring-value,5", "name": "alarms", "bits": ["frost", "", "filter"]},
    {"object": "analog-value,6", "name": "setpoint", "scale": 10, "priority": 10},
]
