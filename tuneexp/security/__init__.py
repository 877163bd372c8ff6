"""Trusted code, signatures of pickled state, and addresses without their secrets."""
