"""The physics: a boiler that steam heats, and that cools when the steam is shut off.

Owns temperatures. Must never know MQTT, time or randomness: a step is told how long it is.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Boiler", "fahrenheit"]

START_C: Final = 27.0
HEATED_C: Final = 40.0
"""Where it would end with the steam on."""
COOLED_C: Final = 16.0
"""Where it would end with the steam off."""
TIME_CONSTANT_S: Final = 16.0
"""Newton's law of cooling: the distance to that end falls to 1/e in this time. From the start it
takes 16 ln(13/10) = 4.2 s to 30 °C, then 16 ln(14/10) = 5.4 s down to 26 °C, and as long up."""


class Boiler:
    """A boiler and what is around it, in degrees Celsius."""

    def __init__(self) -> None:
        self._boiler_c = START_C

    def step(self, duration_s: float, flow: float) -> None:
        """Let time pass.

        Args:
            duration_s: how much.
            flow: of steam, from 0 (off) to 1.
        """
        target_c = COOLED_C + (HEATED_C - COOLED_C) * min(max(flow, 0.0), 1.0)
        left = math.exp(-max(duration_s, 0.0) / TIME_CONSTANT_S)
        self._boiler_c = target_c + (self._boiler_c - target_c) * left

    def temperature_c(self, nearness: float) -> float:
        """The temperature somewhere.

        Args:
            nearness: 1 in the boiler, 0 outdoors.
        """
        return COOLED_C + (self._boiler_c - COOLED_C) * nearness


def fahrenheit(celsius: float) -> float:
    """Degrees Fahrenheit, to a hundredth."""
    return round(celsius * 1.8 + 32.0, 2)
