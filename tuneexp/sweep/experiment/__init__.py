"""Experiment files: all that a sweep is asked for, in one YAML file that repeats it."""
