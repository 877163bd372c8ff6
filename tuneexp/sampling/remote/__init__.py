"""Env runners as Ray actors."""
