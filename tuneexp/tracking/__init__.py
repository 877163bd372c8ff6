"""Tracking: an outbox that Tune's driver writes, and a process that brings it to MLflow. See `outbox` and `deliver`."""
