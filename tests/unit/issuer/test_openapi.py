"""The OpenAPI document: it says all that there is, and nothing else."""

from collections import Counter
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from aiohttp import web

from issuer.endpoints.routes import add_routes
from issuer.openapi import document

ISSUER = "https://issuer.example"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(ISSUER)


def operations(described: dict[str, Any]) -> dict[str, Any]:
    """By method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_in_the_document_and_nothing_else(described: dict[str, Any]) -> None:
    app = web.Application()
    add_routes(app)
    routes = {f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource}

    # Who answers GET answers HEAD too (RFC 9110 section 9.3.2), so nothing is said of it.
    assert operations(described).keys() == {route for route in routes if not route.startswith("HEAD ")}


def test_the_document_is_one_of_openapi(described: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(described).validate()


def test_every_schema_is_one_and_has_a_description(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema["description"], name


def test_every_reference_leads_to_a_schema(described: dict[str, Any]) -> None:
    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(each) for each in part.values()))
        return set().union(*(references(each) for each in part)) if isinstance(part, list) else set()

    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described) == known


def test_operations_have_names_of_their_own_tags_that_there_are_and_parameters_for_their_path(
    described: dict[str, Any],
) -> None:
    tags = {tag["name"] for tag in described["tags"]}
    names = Counter(operation["operationId"] for operation in operations(described).values())
    assert set(names.values()) == {1}
    for place, operation in operations(described).items():
        assert set(operation["tags"]) <= tags, place
        assert all(text.isprintable() and text for text in (operation["summary"], operation["operationId"])), place
        in_path = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert in_path == {part.strip("{}") for part in place.split("/") if part.startswith("{")}, place
        for scheme in operation.get("security", ()):
            assert scheme.keys() <= described["components"]["securitySchemes"].keys(), place


def test_a_call_that_needs_somebody_says_what_strangers_are_answered(described: dict[str, Any]) -> None:
    for place, operation in operations(described).items():
        assert ("security" in operation) == ("401" in operation["responses"]), place
