"""Scores of predictions on held-out trials."""
