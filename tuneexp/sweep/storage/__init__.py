"""Stored sweeps: the folder, snapshots, checkpoint storage and trial records."""
