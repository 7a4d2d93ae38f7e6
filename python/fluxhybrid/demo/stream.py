"""The platform's live events, over its WebSocket, as anyone would read them.

Owns the connection, and coming back when it is lost.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from fluxhybrid.demo.narrator import Narrator

__all__ = ["follow"]

_log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
MESSAGE_BYTES_MAX: Final = 16 * 2**20


async def follow(
    api_url: str, api_token: str, narrator: Narrator, connected: asyncio.Event
) -> None:
    """Give the narrator every event, until cancelled.

    Args:
        api_url: where the API is.
        api_token: a token for it.
        narrator: who hears of them.
        connected: set once the first connection stands.
    """
    url = api_url.replace("http", "ws", 1) + "/api/v1/stream"
    headers = {"Authorization": f"Bearer {api_token}"}
    while True:
        try:
            async with connect(
                url,
                additional_headers=headers,
                max_size=MESSAGE_BYTES_MAX,
                compression=None,
                proxy=None,
            ) as socket:
                connected.set()
                async for message in socket:
                    told = orjson.loads(message)
                    narrator.missed(told["dropped"])
                    for event in told["events"]:
                        narrator.hear(event)
        except (OSError, WebSocketException) as error:
            _log.info("the live stream ended (%s): opening another", error)
        await asyncio.sleep(RETRY_S)
