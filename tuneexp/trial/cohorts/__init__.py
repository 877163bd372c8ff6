"""Trials that race on seeds: a stack for each cohort of seeds."""
