"""An OpenAI-compatible server: chat completions of a model that needs no tools in its prompt."""
