"""Environments as pure functions of tensors: the class to subclass, and classic control written as such."""
