"""Schedulers: early stopping of weak trials, on environment steps per seed. Only `tune_scheduler` imports Ray."""
