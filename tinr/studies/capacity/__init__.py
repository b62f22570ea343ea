"""Trainings from which the capacity planner's curve is fitted."""
