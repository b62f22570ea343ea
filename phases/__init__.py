"""The three phases, each a recipe: resolve the parent, load, build, train, gate, publish."""
