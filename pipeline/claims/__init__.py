"""Kept pages of a grid become tables, one per claim, with mean and spread over seeds."""
