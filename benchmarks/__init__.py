"""PPO and a sweep, measured here and in Stable-Baselines3 and RLlib, doing the same work."""
