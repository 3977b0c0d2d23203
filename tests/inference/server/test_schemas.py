"""The server conforms to its OpenAPI document."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from crossprompt.inference.server.limits import Limits
from tests.inference.server.servers import Colors, running

pytestmark = pytest.mark.slow
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
"""Not that what fits the schema is accepted: not every text is an image in base64."""
OPERATIONS = (
    ("POST", "/v1/predict"),
    ("GET", "/v1/classes"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
)


@pytest.fixture(scope="module")
def described() -> Iterator[Any]:
    with running(Colors(), Limits(timeout=5.0)) as client:
        document = client.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=str(client.base_url))
        yield schema


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *((method, path, GenerationMode.POSITIVE) for method, path in OPERATIONS),
        ("POST", "/v1/predict", GenerationMode.NEGATIVE),  # the others take nothing
    ],
)
def test_no_request_made_from_the_document_is_answered_otherwise_than_it_says(
    described: Any, method: str, path: str, mode: GenerationMode
) -> None:
    operation = described[path][method]
    examples = 25 if method == "POST" else 3

    @seed(1)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


def test_the_document_lists_every_operation(described: Any) -> None:
    paths = described.raw_schema["paths"]
    found = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert found == set(OPERATIONS)


def test_docs_leads_to_the_document() -> None:
    with running(Colors()) as client:
        found = client.get("/docs", follow_redirects=True)
        assert found.url.path == "/openapi.json"
        assert found.json()["paths"]


def test_no_answer_may_be_framed_sniffed_or_run_scripts_from_elsewhere() -> None:
    with running(Colors()) as client:
        for path in ("/", "/page.js", "/docs", "/v1/classes", "/nowhere"):
            response: httpx.Response = client.get(path)
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "server" not in response.headers
