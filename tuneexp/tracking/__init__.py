"""Tracking of sweeps in MLflow: Tune's driver appends to an outbox, and another process delivers it."""
