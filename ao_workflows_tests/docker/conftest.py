"""The front door, which several modules of this folder try."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ao_workflows_tests.support.pages import Door, Server
from ao_workflows_tests.support.proxy import running_proxy


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    servers = {name: Server(name) for name in ("webserver", "viewer", "flower")}
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in servers.values()]
    for thread in threads:
        thread.start()
    places = {name: server.place for name, server in servers.items()}
    with running_proxy(tmp_path_factory.mktemp("proxy"), **places) as proxy:
        yield Door(proxy, servers)
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def door(opened: Door) -> Door:
    """The door, with nothing noted yet. (HAProxy's own looks after its servers open no request.)"""
    for server in opened.servers.values():
        server.seen.clear()
    return opened
