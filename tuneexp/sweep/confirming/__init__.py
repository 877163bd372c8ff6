"""Confirmation of a sweep: its best configurations, trained again on seeds that tuning never used."""
