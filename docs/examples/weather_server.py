"""A small MCP server for the docs: `python docs/examples/weather_server.py` speaks on stdio."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def rain_forecast(town: str, hours: int = 24) -> str:
    """Forecast the rain over a town for the next hours."""
    return f"{town}: {hours % 7} mm"


@server.tool()
def wind_speed(town: str) -> float:
    """Measure the speed of the wind in a town, in metres per second."""
    return float(len(town))


@server.tool()
def sunrise_time(town: str, day: str) -> str:
    """Find when the sun rises in a town on a day."""
    return "06:30"


if __name__ == "__main__":
    server.run("stdio")
