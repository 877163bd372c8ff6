"""Environments: S x N of them with a leading seed axis, their statistics and their normalisation."""
