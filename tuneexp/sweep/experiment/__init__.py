"""Experiment files: all settings of a sweep in one YAML file, which repeats it."""
