"""Benchmarks of training and sweeps, with the same work in tuneexp, Stable-Baselines3 and RLlib."""
