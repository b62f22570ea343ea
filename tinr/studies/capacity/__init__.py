"""Training runs to which the capacity planner's curve is fitted."""
