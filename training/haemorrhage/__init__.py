"""Trains and measures the network that finds intracranial haemorrhage on head CT."""
