"""Subscriptions: which events a commit makes, and their delivery, at least once and in order."""
