"""A trial: one configuration trained on S seeds at once."""

from tuneexp.trial.trial import Trial

__all__ = ["Trial"]
