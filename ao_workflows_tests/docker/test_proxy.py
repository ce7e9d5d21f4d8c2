"""What the front door lets in and what not, each as a person, a browser or an attacker would send it.

The servers behind it only write down what reaches them: what was refused must not have arrived.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from ao_workflows_tests.support.pages import Door, Server
from ao_workflows_tests.support.proxy import running_proxy

QUERY = json.dumps({"query": 'mutation { terminateRun(runId: "1") { __typename } }'}).encode()
JSON = {"Content-Type": "application/json"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}


def test_nobody_comes_in_without_a_login(door: Door) -> None:
    """Dagster's page has none: whoever reaches it can cancel runs."""
    for path in ("/", "/graphql", "/workers", "/server_info", "/runs"):
        status, headers, _ = door.proxy.ask("GET", path, {})
        assert status == 401
        assert headers["www-authenticate"] == 'Basic realm="ao-workflows"'
    assert door.arrived() == []


@pytest.mark.parametrize("user", ["anna", "nobody"])
def test_a_wrong_password_is_refused(door: Door, user: str) -> None:
    """The check must be of the password, and not only of the name."""
    assert door.proxy.ask("GET", "/", door.proxy.login(user, "wrong"))[0] == 401
    assert door.arrived() == []


@pytest.mark.parametrize(
    ("user", "path", "server"),
    [("anna", "/", "webserver"), ("tenzin", "/", "viewer"), ("anna", "/workers/tasks", "flower")],
)
def test_each_role_reaches_its_own_page(door: Door, user: str, path: str, server: str) -> None:
    """An archivist on the page that acts could delete a work's history by one click."""
    assert door.proxy.ask("GET", path, door.proxy.login(user))[::2] == (200, f"{server} 0")
    assert door.arrived() == [(server, "GET", path)]
    _, _, headers = door.servers[server].seen[0]
    assert "authorization" not in headers


@pytest.mark.parametrize("path", ["/workers", "/workers/", "/%77orkers", "/WORKERS/tasks"])
def test_the_workers_page_is_for_operators(door: Door, path: str) -> None:
    """It shows what every host runs, and can stop it."""
    assert door.proxy.ask("GET", path, door.proxy.login("tenzin"))[0] == 403
    assert door.arrived() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_changed_by_the_workers_page(door: Door, method: str) -> None:
    """One POST of it shuts a worker down."""
    assert door.proxy.ask(method, "/workers/api/worker/shutdown/a", door.proxy.login("anna"), b"")[0] == 405
    assert door.arrived() == []


def test_the_workers_page_gets_its_list_of_tasks(door: Door) -> None:
    """It asks for it by POST; without it, the page is empty. Another page in the same browser does not get it."""
    own = {**door.proxy.login("anna"), "Origin": door.proxy.origin}
    assert door.proxy.ask("POST", "/workers/tasks/datatable", own, b"draw=1")[0] == 200
    foreign = {**own, "Origin": "https://evil.example"}
    assert door.proxy.ask("POST", "/workers/tasks/datatable", foreign, b"draw=1")[0] == 403
    assert door.proxy.ask("POST", "/workers/tasks/datatable", door.proxy.login("tenzin"), b"draw=1")[0] == 403
    assert door.arrived() == [("flower", "POST", "/workers/tasks/datatable")]


@pytest.mark.parametrize(("user", "server"), [("anna", "webserver"), ("tenzin", "viewer")])
def test_the_pages_own_question_is_let_through(door: Door, user: str, server: str) -> None:
    """A door that is always shut is safe and of no use."""
    own = {"Origin": door.proxy.origin, "Sec-Fetch-Site": "same-origin"}
    headers = {**door.proxy.login(user), **JSON, **own}
    assert door.proxy.ask("POST", "/graphql", headers, QUERY)[::2] == (200, f"{server} {len(QUERY)}")
    assert (
        door.proxy.ask("POST", "/graphql", {**headers, "Content-Type": "application/json; charset=utf-8"}, QUERY)[0]
        == 200
    )


def test_the_pages_own_live_updates_are_let_through(door: Door) -> None:
    """Without them a run's page stands still."""
    own = {"Origin": door.proxy.origin, "Sec-Fetch-Site": "same-origin"}
    assert door.proxy.ask("GET", "/graphql", {**door.proxy.login("anna"), **HANDSHAKE, **own})[0] == 101


def test_a_link_in_a_mail_opens_the_page(door: Door) -> None:
    """An alarm's link is followed from another site, and asks for nothing but a page."""
    headers = {**door.proxy.login("anna"), "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert door.proxy.ask("GET", "/runs/1", headers)[0] == 200


PATHS = ["/graphql", "/graphql/", "/%67raphql", "/GraphQL", "/x/../graphql", "//graphql"]


@pytest.mark.parametrize("user", ["anna", "tenzin"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_a_graphql_get_with_a_query_is_refused(door: Door, path: str, method: str, user: str) -> None:
    """An image in a mail would be enough to cancel a run."""
    assert door.proxy.ask(method, f"{path}?query=mutation", door.proxy.login(user))[0] == 405
    assert door.arrived() == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"],
)
def test_a_graphql_post_that_is_no_json_is_refused(door: Door, path: str, kind: str | None) -> None:
    """A form on any page can send these without being asked first, and Dagster takes them."""
    headers = door.proxy.login("anna") | ({"Content-Type": kind} if kind else {})
    assert door.proxy.ask("POST", path, headers, QUERY)[0] == 415
    assert door.arrived() == []


def test_two_content_types_are_refused(door: Door) -> None:
    """The proxy would look at one, and the server at the other."""
    headers = {**door.proxy.login("anna"), "Content-Type": ["text/plain", "application/json"]}
    assert door.proxy.ask("POST", "/graphql", headers, QUERY)[0] == 415
    assert door.arrived() == []


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: "-".join(headers.values()))
@pytest.mark.parametrize("user", ["anna", "tenzin"])
def test_a_question_from_another_page_is_refused(door: Door, user: str, headers: dict[str, str]) -> None:
    """The browser adds the login to it by itself."""
    assert door.proxy.ask("POST", "/graphql", {**door.proxy.login(user), **JSON, **headers}, QUERY)[0] == 403
    assert door.arrived() == []


def test_a_question_from_the_same_name_without_tls_or_with_two_origins_is_refused(door: Door) -> None:
    """Who can answer for the name on port 80 must not speak for it here."""
    plain = {**door.proxy.login("anna"), **JSON, "Origin": f"http://{door.proxy.host}"}
    assert door.proxy.ask("POST", "/graphql", plain, QUERY)[0] == 403
    twice = {**door.proxy.login("anna"), **JSON, "Origin": ["https://evil.example", door.proxy.origin]}
    assert door.proxy.ask("POST", "/graphql", twice, QUERY)[0] == 403
    assert door.arrived() == []


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: "-".join(headers.values()))
@pytest.mark.parametrize("path", ["/graphql", "/%67raphql", "/workers/x"])
def test_a_handshake_from_another_page_is_refused(door: Door, path: str, headers: dict[str, str]) -> None:
    """No browser asks first before it opens a WebSocket to anywhere, and Dagster takes mutations over it."""
    assert door.proxy.ask("GET", path, {**door.proxy.login("anna"), **HANDSHAKE, **headers})[0] == 403
    assert door.arrived() == []


def test_a_handshake_without_a_login_is_refused(door: Door) -> None:
    """It is a GET like any other."""
    assert door.proxy.ask("GET", "/graphql", {**HANDSHAKE, "Origin": door.proxy.origin})[0] == 401
    assert door.arrived() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "POST"])
def test_what_the_page_never_asks_for_is_refused(door: Door, method: str) -> None:
    """Dagster takes reports of assets by POST; a materialization that never was would hide a missing work."""
    assert (
        door.proxy.ask(method, "/report_asset_materialization/synced_archive", door.proxy.login("anna"), b"")[0] == 403
    )
    assert door.proxy.ask(method, "/anything", door.proxy.login("anna"), b"")[0] == 405
    assert door.arrived() == []


def test_every_answer_has_the_headers_that_browsers_are_careful_by(door: Door) -> None:
    """Refusals are pages too."""
    for headers in ({}, door.proxy.login("anna")):
        found = door.proxy.ask("GET", "/", headers)[1]
        assert found["strict-transport-security"] == "max-age=31536000"
        assert found["x-content-type-options"] == "nosniff"
        assert found["x-frame-options"] == "DENY"
        assert found["referrer-policy"] == "same-origin"
        assert found["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in found


def test_passwords_cannot_be_guessed_one_after_the_other(tmp_path: Path) -> None:
    """A name and a list of words is all that it takes otherwise."""
    server = Server("webserver")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with running_proxy(tmp_path, server.place) as proxy:
        guesses = [proxy.ask("GET", "/", proxy.login("anna", f"word{number}"))[0] for number in range(14)]
        assert guesses[:10] == [401] * 10
        assert guesses[-1] == 429
        status, headers, text = proxy.ask("GET", "/", proxy.login("anna"))
        assert (status, headers["retry-after"]) == (429, "60")
        assert "wait a minute" in text
        assert server.seen == []
    server.shutdown()
    server.server_close()
