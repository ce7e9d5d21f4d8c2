"""What is recorded of a site's services, and what follows from it."""

from __future__ import annotations

import json

import pytest

from ao_workflows.errors import ServicesError
from ao_workflows.machine.processes import ProcessId
from ao_workflows.services.record import Service, ServicesRecord, address, parse_record, ports, services_table


def service(name: str, port: int | None, pid: int = 7) -> Service:
    return Service(name, ProcessId(pid, 5, "boot"), 1.5, port)


WEB, VIEWER = service("webserver", 3000), service("viewer", 3001)
RECORDED = ServicesRecord("/srv/site.toml", {"webserver": WEB, "viewer": VIEWER})


def test_a_record_comes_back_as_it_was() -> None:
    """Whoever comes after a crash knows by it what to end."""
    assert parse_record(RECORDED.dump()) == RECORDED


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"site": "s", "services": [{"name": "code"}]}', "{"])
def test_half_a_record_is_none(text: str) -> None:
    """What a crash of the machine left of one speaks of nothing that is alive."""
    assert parse_record(text) is None
    assert all(parse_record(RECORDED.dump()[:length]) is None for length in range(len(RECORDED.dump()) - 1))


def test_a_service_of_another_version_is_left_out() -> None:
    """After an upgrade, one that there is no more must not be in the way."""
    found = json.loads(RECORDED.dump())
    found["services"].append(found["services"][0] | {"name": "of yesterday"})
    assert parse_record(json.dumps(found)) == RECORDED


def test_a_page_comes_back_at_the_port_that_it_had() -> None:
    """People have it among their bookmarks."""
    was = ServicesRecord("s", {"webserver": service("webserver", 4000)})
    assert ports(None, (), {}) == {"webserver": 3000, "viewer": 3001}
    assert ports(was, (), {}) == {"webserver": 4000, "viewer": 3001}
    assert ports(was, (), {"webserver": 5000}) == {"webserver": 5000, "viewer": 3001}
    assert ports(was, ("webserver",), {"webserver": 4000})["webserver"] == 4000


def test_what_is_up_is_not_moved_and_two_pages_do_not_share_a_port() -> None:
    """The second would fail a minute later, with a server's trace."""
    with pytest.raises(ServicesError, match="is up at port 3000: run ao down"):
        ports(RECORDED, ("webserver",), {"webserver": 4000})
    with pytest.raises(ServicesError, match="cannot both have port 3001"):
        ports(None, (), {"webserver": 3001})


def test_the_table_has_each_service_in_the_order_of_their_start_and_fits_a_terminal() -> None:
    """It is read on 80 columns; the daemon has no address, the code server no page."""
    services = {"daemon": service("daemon", None), "viewer": VIEWER, "code": service("code", 4001, pid=4_194_304)}
    lines = services_table(services)
    assert [line.split()[0] for line in lines] == ["service", "code", "viewer", "daemon"]
    assert max(map(len, lines)) <= 80
    assert (address(services["daemon"]), address(services["code"])) == ("", "127.0.0.1:4001")
    assert address(VIEWER) == "http://127.0.0.1:3001"
