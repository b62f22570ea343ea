"""Running a tool call: in this process, or bounded in one of its own."""
