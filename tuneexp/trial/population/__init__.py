"""Stacked populations: all members of a population as rows of one stack."""
