"""Hyperparameters of the algorithms; imports no torch, so that a wrong name or value is refused at once."""
