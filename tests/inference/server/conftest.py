"""A server for the tests that leave it as it was."""

from collections.abc import Iterator

import httpx
import pytest

from tests.inference.server.servers import Colors, running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(Colors()) as client:
        yield client
