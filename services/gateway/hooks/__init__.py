"""CDS Hooks 2.0: cards from what is already computed."""
