"""Trains, measures and exports the network that finds fractures on X-rays of limbs."""
