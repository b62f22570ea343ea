"""OpenAPI and Swagger files: one tool per operation."""

from import_parts import imported_by_name, read_value

OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/items/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "summary": "Read an item",
                "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "The item."}},
            },
            "put": {
                "operationId": "writeItem",
                "description": "Write an item.",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Item"}}
                    },
                },
            },
        },
        "/far": {"$ref": "other.yaml#/paths/far"},
    },
    "components": {
        "parameters": {
            "Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        },
        "schemas": {
            "Item": {
                "type": "object",
                "required": ["title"],
                "properties": {
                    "id": {"type": "integer", "nullable": True},
                    "title": {"type": "string"},
                    "parent": {"$ref": "#/components/schemas/Item"},
                },
            }
        },
    },
}


def test_openapi_gives_one_tool_an_operation():
    lines, problems = read_value(OPENAPI)
    assert set(lines) == {"get_items_by_id", "writeItem"}
    read_item = lines["get_items_by_id"]
    assert read_item["description"] == "Read an item."
    assert read_item["returns"] == "The item."
    assert read_item["parameters"]["required"] == ["id"]
    assert set(read_item["parameters"]["properties"]) == {"id", "page"}
    written = lines["writeItem"]["parameters"]
    assert set(written["properties"]) == {"id", "body.id", "title", "parent"}
    assert written["required"] == ["id", "title"]
    assert written["properties"]["body.id"]["type"] == ["integer", "null"]
    reasons = {p.pointer: p.reason for p in problems}
    assert "other.yaml" in reasons["/paths/~1far"]
    assert any("circular reference" in p.reason for p in problems)


def test_swagger_2_bodies_and_parameters():
    lines, _ = read_value(
        {
            "swagger": "2.0",
            "info": {"title": "Old"},
            "paths": {
                "/a": {
                    "post": {
                        "operationId": "post_a",
                        "parameters": [
                            {"name": "n", "in": "query", "type": "integer", "required": True},
                            {
                                "name": "b",
                                "in": "body",
                                "schema": {
                                    "type": "object",
                                    "properties": {"x": {"type": "string"}},
                                },
                            },
                        ],
                    }
                }
            },
        }
    )
    schema = lines["post_a"]["parameters"]
    assert {n: p["type"] for n, p in schema["properties"].items()} == {
        "n": "integer",
        "x": "string",
    }
    assert schema["required"] == ["n"]


def test_an_operation_keeps_where_its_parameters_belong(tmp_path):
    """For who calls it: places, addresses, the content's type; an undeclared part of its path."""
    lines = imported_by_name(
        tmp_path,
        "api.yaml",
        """
        openapi: 3.1.0
        servers: [{url: "https://{region}.shop.test/v1", variables: {region: {default: eu}}}]
        paths:
          /shops/{shop}/orders:
            post:
              operationId: order
              deprecated: true
              summary: Orders.
              parameters:
                - {name: dry, in: query, deprecated: true, schema: {type: string, default: 1.10,
                   enum: [1.10, 2.0, 3]}}
                - {name: id, in: header, schema: {type: integer}}
              requestBody:
                content:
                  application/json:
                    schema: {type: object, required: [id], properties: {id: {type: string}},
                             additionalProperties: {type: number}}
            get:
              operationId: orders
              servers: [{url: /other}]
              requestBody: {content: {text/csv: {schema: {type: string}}}}
        """,
    )
    order, orders = lines["order"], lines["orders"]
    assert order["extra"]["servers"] == ["https://eu.shop.test/v1"]
    assert orders["extra"]["servers"] == ["/other"]
    assert order["extra"]["content_type"] == "application/json"
    assert orders["extra"]["content_type"] == "text/csv"
    assert order["extra"]["places"] == {
        "dry": {"in": "query", "name": "dry"},
        "id": {"in": "header", "name": "id"},
        "shop": {"in": "path", "name": "shop"},
        "body.id": {"in": "body", "name": "id"},
    }
    assert orders["extra"]["places"]["body"] == {"in": "body", "name": "body", "whole": True}
    parameters = order["parameters"]
    assert parameters["required"] == ["shop", "body.id"]
    assert parameters["additionalProperties"] == {"type": "number"}
    assert parameters["properties"]["dry"]["enum"] == ["1.10", "2.0", "3"]
    assert parameters["properties"]["dry"]["default"] == "1.10"
    assert parameters["properties"]["dry"]["deprecated"] is True
    assert order["description"] == "Orders. Deprecated."
