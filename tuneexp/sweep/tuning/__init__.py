"""`tune`: a sweep and its confirmation within a given time."""
