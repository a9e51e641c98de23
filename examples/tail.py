"""Prints what comes in a channel, through cuts and restarts, each message once.

    pip install websockets
    python3 examples/tail.py <channel> [server] [file with the cursor]

It speaks rivercast.v1, whose messages have ids: the id of the last one is where to go on.
"""

import asyncio
import json
import pathlib
import random
import sys
from urllib.parse import quote

import websockets

channel = sys.argv[1] if len(sys.argv) > 1 else 'scores'
server = sys.argv[2] if len(sys.argv) > 2 else 'ws://127.0.0.1:3000'
file = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else f'{channel}.cursor')


def take(frame, cursor):
    """Deals with a frame of the server, and returns where the channel stands now."""
    kind = frame['type']
    if kind == 'messages':
        for message in frame['messages']:
            print(json.dumps(message.get('data', message.get('data64'))), flush=True)
        return f'{frame["messages"][-1]["id"]}@{frame["epoch"]}'
    if kind == 'gap':
        print(f'{frame["lost"]} messages are gone: {frame["reason"]}', file=sys.stderr)
    if kind == 'error' and not frame['retry']:
        sys.exit(frame['message'])
    return frame.get('cursor') or cursor


async def follow(cursor):
    """Over one connection, until it is lost."""
    url = f'{server}/ws/broadcast?channel={quote(channel)}&after={quote(cursor)}'
    async with websockets.connect(url, subprotocols=['rivercast.v1']) as socket:
        async for text in socket:
            cursor = take(json.loads(text), cursor)
            file.write_text(cursor)


async def main():
    while True:
        try:
            await follow(file.read_text() if file.exists() else 'earliest')
        except (OSError, websockets.WebSocketException) as error:
            print(error, file=sys.stderr)
        # A random time, so that not everybody comes back at once.
        await asyncio.sleep(random.random())


asyncio.run(main())
