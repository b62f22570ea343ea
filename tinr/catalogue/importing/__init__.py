"""Import users' tools (OpenAPI, MCP, Python, schemas) as catalogue lines."""
