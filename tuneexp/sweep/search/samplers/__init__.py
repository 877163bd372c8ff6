"""Optuna samplers: one file a family, each with its options and a function that builds it."""
