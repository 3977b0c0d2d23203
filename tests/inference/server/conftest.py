"""A server for the tests that leave it as it was."""

from collections.abc import Iterator

import httpx
import pytest

from tests.inference.server.servers import Colours, running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(Colours()) as client:
        yield client
