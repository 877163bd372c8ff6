"""Policies as people watch them: episodes played frame by frame, in a window or as a video."""
