"""Statistics over seeds: aggregates, bootstrap intervals, comparisons, the score of a winner. Pure functions."""
