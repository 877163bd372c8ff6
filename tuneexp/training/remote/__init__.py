"""Learners as Ray actors."""
