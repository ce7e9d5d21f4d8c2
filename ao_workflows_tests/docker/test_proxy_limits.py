"""What the front door takes at most: connections, time, bytes, forms of a path, tries of a password."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.docker.test_proxy import HANDSHAKE, JSON
from ao_workflows_tests.support.crowd import as_many_as_one_may, crowd
from ao_workflows_tests.support.pages import Door, Server
from ao_workflows_tests.support.proxy import Proxy, running_proxy

CONTAINER_MIB = 256
LARGEST_OF_AN_ARCHIVIST = 64 * 1024
LARGEST_OF_AN_OPERATOR = 4 * 1024 * 1024
SOCKETS_OF_A_USER = 100


def announced(door: Door, user: str, head: str, **headers: str) -> int:
    """The status that is answered to a request's head alone, whose body has not been sent."""
    lines = {"Host": door.proxy.host, **door.proxy.login(user), **headers}
    text = f"{head} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with door.proxy.connect() as connection:
        connection.settimeout(3)  # a server that was asked waits for the body
        connection.sendall(f"{text}\r\n".encode())
        return int(connection.recv(4096).split()[1])


@pytest.mark.parametrize("user", ["anna", "tenzin"])
@pytest.mark.parametrize("size", [21_000_000, 1_000_000_000_000, LARGEST_OF_AN_OPERATOR + 1])
def test_more_json_than_any_page_sends_is_refused_before_it_is_sent(door: Door, user: str, size: int) -> None:
    """21 MB of it took the page of the archivists to 663 MB."""
    status = announced(door, user, "POST /graphql", **{**JSON, "Content-Length": str(size)})
    assert status == 413
    assert door.arrived() == []


@pytest.mark.parametrize(
    ("user", "server", "size"),
    [("anna", "webserver", LARGEST_OF_AN_OPERATOR), ("tenzin", "viewer", LARGEST_OF_AN_ARCHIVIST)],
)
def test_what_a_page_may_ask_for_at_most_arrives_whole(door: Door, user: str, server: str, size: int) -> None:
    """An operator who selects every work sends all their names."""
    headers = {**door.proxy.login(user), **JSON}
    assert door.proxy.ask("POST", "/graphql", headers, b" " * size)[::2] == (200, f"{server} {size}")


@pytest.mark.parametrize(
    ("user", "head"),
    [
        ("tenzin", "POST /graphql"),
        ("anna", "POST /workers/tasks/datatable"),
        ("anna", "GET /"),
        ("tenzin", "GET /graphql"),
        ("anna", "HEAD /runs"),
    ],
)
def test_each_path_has_the_least_bound_that_it_needs(door: Door, user: str, head: str) -> None:
    """What shows needs no more than a question, and what is fetched has no body at all."""
    size = str(LARGEST_OF_AN_ARCHIVIST + 1)
    assert announced(door, user, head, **{**JSON, "Content-Length": size}) == 413
    assert door.arrived() == []


@pytest.mark.parametrize("head", ["POST /graphql", "GET /graphql", "POST /workers/tasks/datatable"])
def test_a_body_without_a_length_is_refused(door: Door, head: str) -> None:
    """Of one that comes in chunks nobody knows how much is still to come."""
    assert announced(door, "anna", head, **{**JSON, "Transfer-Encoding": "chunked"}) == 411
    assert door.arrived() == []


@pytest.mark.parametrize("path", ["/%zz/graphql", "/%/graphql", "/graphql%", "/x%2", "/%zz/workers"])
@pytest.mark.parametrize(("user", "method"), [("tenzin", "GET"), ("anna", "POST"), ("anna", "PUT")])
def test_a_path_that_cannot_be_decoded_is_refused(door: Door, user: str, method: str, path: str) -> None:
    """No rule that looks at the decoded path applied to it, and the server behind takes it all the same."""
    status, _, text = door.proxy.ask(method, f"{path}?query=mutation", door.proxy.login(user), b"")
    assert (status, "%25" in text) == (400, True)
    assert door.arrived() == []


def test_no_http_2_is_spoken_even_if_somebody_begins_with_it(door: Door) -> None:
    """The rules for a WebSocket's handshake know HTTP/1.1's alone."""
    with door.proxy.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert door.arrived() == []


_FROM_ADDRESSES_OF_IPV6 = """
import json, sys
from pathlib import Path
from ao_workflows_tests.support.proxy import running_proxy

own, other, ipv4 = ["2001:db8:0:1::1", "2001:db8:0:1:f00::2"], "2001:db8:0:2::1", ["127.0.0.1", "127.0.0.2"]
with running_proxy(Path(sys.argv[1]), "127.0.0.1:1", listen="::") as proxy:
    wrong = proxy.login("anna", "wrong")
    guesses = [proxy.ask("GET", "/", wrong, source=own[number % 2])[0] for number in range(14)]
    others = [proxy.ask("GET", "/", wrong, source=each)[0] for each in (other, *ipv4)]
    of_ipv4 = [proxy.ask("GET", "/", wrong, source=ipv4[0])[0] for _ in range(12)]
    others.append(proxy.ask("GET", "/", wrong, source=ipv4[1])[0])
print(json.dumps([guesses, others, of_ipv4]))
"""


def test_who_has_a_whole_network_of_ipv6_guesses_no_more_often(tmp_path: Path) -> None:
    """Every home has 2^64 addresses there: ten guesses from each are no limit. One of IPv4 is one as before."""
    unshare = ["unshare", "--net", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    addresses = ["2001:db8:0:1::1", "2001:db8:0:1:f00::2", "2001:db8:0:2::1"]
    network = " && ".join(["ip link set lo up", *(f"ip addr add {each}/128 dev lo" for each in addresses)])
    if subprocess.run([*unshare, "sh", "-c", network], capture_output=True, check=False).returncode:
        skip_or_fail("a network of one's own cannot be made here: unshare --net or ip is not there, or not allowed")
    command = [*unshare, "sh", "-c", f'{network} && exec "$@"', "sh", sys.executable, "-c", _FROM_ADDRESSES_OF_IPV6]
    said = subprocess.run([*command, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    guesses, others, of_ipv4 = json.loads(said)
    assert guesses == [401] * 11 + [429] * 3
    assert others == [401] * 4
    assert of_ipv4[-1] == 429


class Alone:
    """A proxy of one's own, for what would be in the way of other tests, and the archivists' page behind it."""

    def __init__(self, proxy: Proxy, server: Server) -> None:
        self.proxy, self.server = proxy, server

    def seconds_for_the_page(self) -> float:
        """How long somebody waits for it who has logged in from this address before."""
        began = time.monotonic()
        assert self.proxy.ask("GET", "/", self.proxy.login("tenzin"))[0] == 200
        return time.monotonic() - began


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    server = Server("viewer")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with running_proxy(tmp_path, "127.0.0.1:1", server.place) as proxy:
        yield Alone(proxy, server)
    server.shutdown()
    server.server_close()


def slow_senders(proxy: Proxy) -> dict[str, socket.socket]:
    """Connections that stopped in each place where one can: each has sent all but what the proxy waits for."""
    head = f"Host: {proxy.host}\r\nContent-Type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in proxy.login("tenzin").items())
    begun = {
        "hello": b"",
        "nothing": b"",
        "headers": f"GET / HTTP/1.1\r\n{head}X-Slow: ".encode(),
        "body": f"POST /graphql HTTP/1.1\r\n{head}Content-Length: 15000\r\n\r\n".encode(),
        "long body": f"POST /graphql HTTP/1.1\r\n{head}Content-Length: 200000\r\n\r\n".encode(),
        "next": f"GET / HTTP/1.1\r\n{head}\r\n".encode(),
    }
    senders: dict[str, socket.socket] = {"hello": socket.create_connection(("127.0.0.1", proxy.port))}
    for name in list(begun)[1:]:
        senders[name] = proxy.connect()
        senders[name].sendall(begun[name])
    return senders


def test_the_page_answers_while_ten_thousand_stand_at_the_door_and_others_are_slow(alone: Alone) -> None:
    """8,300 connections that said nothing filled the proxy's memory, and nobody got in any more.

    They come from one address, and then from hundreds; who has logged in before does not notice either. Who sends a
    byte now and then, so that there is no pause, is waited for no longer.
    """
    alone.seconds_for_the_page()
    slow, began, ended = slow_senders(alone.proxy), time.monotonic(), {}
    waits = []
    for addresses in (1, 400):
        with crowd(alone.proxy, as_many_as_one_may(10_000), addresses, after_tls=600):
            waits += [alone.seconds_for_the_page() for _ in range(20)]
    while len(ended) < len(slow) and time.monotonic() - began < 30:
        for name in slow.keys() - ended.keys():
            if _has_ended(name, slow[name]):
                ended[name] = time.monotonic() - began
        time.sleep(0.5)
    assert max(waits) < 1
    assert alone.proxy.memory_mib() < CONTAINER_MIB
    assert sorted(ended) == sorted(slow)
    assert max(ended.values()) < 15, ended


def _has_ended(name: str, sender: socket.socket) -> bool:
    """Whether the proxy has hung up on it; if not, it has got one byte more of what it waits for."""
    try:
        while select.select([sender], [], [], 0)[0]:
            if not sender.recv(4096):
                return True
        if name not in ("hello", "nothing", "next"):
            sender.sendall(b"a")
    except OSError:
        return True
    return False


def answered(proxy: Proxy, source: str) -> tuple[int, str]:
    """The status and the text that somebody gets there, or 0 if the proxy hangs up."""
    try:
        status, _, text = proxy.ask("GET", "/", proxy.login("tenzin"), source=source)
    except OSError:
        return 0, ""
    return status, text


def in_the_end(proxy: Proxy, source: str, status: int) -> tuple[int, str]:
    """What is answered when the proxy has looked at everyone who came before: its threads take them in any order."""
    until = time.monotonic() + 5
    while (answer := answered(proxy, source))[0] != status and time.monotonic() < until:
        time.sleep(0.1)
    return answer


def test_one_address_is_told_when_it_holds_too_many(alone: Alone) -> None:
    """An office behind one address sees why some of its pages stay empty; one machine does not take all there is."""
    with ExitStack() as held:
        for _ in range(251):
            held.enter_context(alone.proxy.connect("127.1.0.1"))
        status, text = answered(alone.proxy, "127.1.0.1")
        assert (status, "close some pages" in text) == (429, True)
        with pytest.raises(OSError):
            for _ in range(60):
                held.enter_context(alone.proxy.connect("127.1.0.1"))
        assert answered(alone.proxy, "127.0.0.1")[0] == 200


def test_one_address_does_not_keep_the_proxy_busy_with_hellos(alone: Alone) -> None:
    """Each costs it a signature: two thousand a second are all that it does."""
    for _ in range(6):
        with crowd(alone.proxy, 100, 1):
            pass
    assert in_the_end(alone.proxy, "127.1.0.1", 0)[0] == 0
    assert answered(alone.proxy, "127.0.0.1")[0] == 200


def test_strangers_leave_a_third_of_the_room_to_who_has_logged_in(alone: Alone) -> None:
    """A thousand machines with two connections each are below any bound of one."""
    alone.seconds_for_the_page()
    with crowd(alone.proxy, as_many_as_one_may(2_100), 700):
        assert in_the_end(alone.proxy, "127.100.0.1", 0)[0] == 0
        assert alone.seconds_for_the_page() < 1


def live_updates(proxy: Proxy, user: str, source: str) -> tuple[int, socket.socket]:
    """The status of a WebSocket's handshake from this address, and its connection, which stays open."""
    lines = {"Host": proxy.host, "Origin": proxy.origin, **proxy.login(user), **HANDSHAKE}
    opened = proxy.connect(source)
    opened.sendall(("GET /graphql HTTP/1.1\r\n" + "".join(f"{a}: {b}\r\n" for a, b in lines.items()) + "\r\n").encode())
    return int(opened.recv(4096).split()[1]), opened


def test_one_user_has_no_more_live_updates_than_a_page_bears(alone: Alone) -> None:
    """The proxy does not see what is asked over them, and the page holds something for each, whatever the address."""
    with ExitStack() as held:
        opened = []
        for number in range(SOCKETS_OF_A_USER):
            status, one = live_updates(alone.proxy, "tenzin", f"127.1.0.{number % 4 + 1}")
            opened.append(held.enter_context(one))
            assert status == 101
        status, one = live_updates(alone.proxy, "tenzin", "127.1.0.9")
        held.enter_context(one)
        assert status == 429
        assert answered(alone.proxy, "127.1.0.9")[0] == 200, "the rest of the page works"
        status, one = live_updates(alone.proxy, "anna", "127.1.0.1")
        held.enter_context(one)
        assert status == 503, "another user's are counted apart, and only her server is not there"
        for each in opened[:10]:
            each.close()
        until, status = time.monotonic() + 10, 0
        while status != 101:
            assert time.monotonic() < until
            status, one = live_updates(alone.proxy, "tenzin", "127.1.0.9")
            held.enter_context(one)
            time.sleep(0.1)
