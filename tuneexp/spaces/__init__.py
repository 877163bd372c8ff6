"""Gymnasium spaces: supported spaces, zero-based form, kinds of actions, layout of packed observations."""
