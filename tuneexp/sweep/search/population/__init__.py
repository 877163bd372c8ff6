"""Population-based training: decisions about a population, as pure functions. Imports neither Ray nor Optuna."""
