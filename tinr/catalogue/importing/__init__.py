"""Tools as users have them (OpenAPI, MCP, Python, schemas) into catalogue lines."""
