"""Scoring: from audio to scores, by one path for every user of the package."""
