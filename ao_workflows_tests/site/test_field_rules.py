"""Rules that settings of several sections share."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from ao_workflows.site.field_rules import EndpointUrl

ENDPOINT: TypeAdapter[str] = TypeAdapter(EndpointUrl)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://s3.example.org/path", "http://[::1]:80"])
def test_an_endpoint_names_a_host(url: str) -> None:
    """What is right must not be refused."""
    assert ENDPOINT.validate_python(url) == url


@pytest.mark.parametrize("url", ["localhost", "http://", "http://a:0", "http://a:99999", "http://user@a", "http://a_b"])
def test_what_names_no_host_is_refused(url: str) -> None:
    """A library would say so only when the first work comes, and in words of its own."""
    with pytest.raises(ValidationError):
        ENDPOINT.validate_python(url)
