"""Trains, evaluates and exports the network that scores lung nodule candidates."""
