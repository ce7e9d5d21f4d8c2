"""Connections that come to stay: what one machine, or a thousand, may hold at the front door.

What belongs here: opening them from many addresses of this machine, and holding them. What does not: what must come
of it.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ao_workflows_tests.support.proxy import Proxy

OF_OUR_OWN = 500
"""How many files the tests' process may have open besides."""


def as_many_as_one_may(wanted: int) -> int:
    """So many connections as wanted, or as the limit of open files allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most - OF_OUR_OWN)


@contextmanager
def crowd(proxy: Proxy, connections: int, addresses: int, after_tls: int = 0) -> Iterator[list[socket.socket]]:
    """So many connections from so many addresses that say nothing, some of them after TLS's handshake.

    What the proxy refuses is not tried again; the list has what it did not refuse at once.
    """
    held: list[socket.socket] = []
    try:
        for number in range(connections):
            source = f"127.{number % addresses // 200 + 1}.0.{number % addresses % 200 + 1}"
            try:
                if number < after_tls:
                    held.append(proxy.connect(source))
                else:
                    held.append(socket.create_connection(("127.0.0.1", proxy.port), source_address=(source, 0)))
            except OSError:
                continue
        yield held
    finally:
        for each in held:
            each.close()
