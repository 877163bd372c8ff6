"""A sweep before its start: environment steps, compiled programs, time and disk."""
