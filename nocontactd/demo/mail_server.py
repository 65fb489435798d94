"""A real IMAP server inside this process, on loopback, for as long as the demonstration (or a test) lasts."""

import asyncio
import logging
import socket
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

USER = "me@home.example"
PASSWORD = "demonstration"  # of a server that lives for seconds, on loopback


@contextmanager
def mail_server() -> Iterator[int]:
    """Run pymap with one empty mailbox; the port it listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, port, ready, stop), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("pymap did not start")
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, port: int, ready: threading.Event, stop: asyncio.Event) -> None:
    connections: set[asyncio.Task[Any]] = set()

    def kept(on: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> "asyncio.Task[Any]":
        """Since Python 3.12 nobody else holds on to a connection's task, and it may vanish in the middle."""
        task = asyncio.Task(coroutine, loop=on, **named)
        connections.add(task)
        task.add_done_callback(connections.discard)
        return task

    logging.getLogger("asyncio").setLevel(logging.ERROR)  # pymap writes to clients that hung up in IDLE
    loop.set_task_factory(kept)
    loop.run_until_complete(_serve(port, ready, stop))
    loop.run_until_complete(_end())
    loop.close()


async def _end() -> None:
    """End the connections that were left open."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _serve(port: int, ready: threading.Event, stop: asyncio.Event) -> None:
    from pymap.backend.dict import DictBackend
    from pymap.imap import IMAPService
    from pysasl.hashing import BuiltinHash

    wishes = Namespace(
        demo_data=False,
        demo_user=USER,
        demo_password=PASSWORD,
        host=["127.0.0.1"],
        port=str(port),
        tls=False,
        cert=None,
        key=None,
        proxy_protocol=None,
        inherited_sockets=None,
        debug=False,
        passlib_cfg=None,
    )
    backend, config = await DictBackend.init(wishes, hash_context=BuiltinHash(rounds=1))  # else 0.3 s a login
    config.apply_context()
    async with AsyncExitStack() as stack:
        await backend.start(stack)
        await IMAPService(backend, config).start(stack)
        ready.set()
        await stop.wait()
