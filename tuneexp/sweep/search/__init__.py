"""Search: spaces, Optuna searchers and Tune schedulers."""
