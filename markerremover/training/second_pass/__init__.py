"""Trainings of the networks of the second pass."""
