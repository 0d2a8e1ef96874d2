"""Names of the model, its tensors and what they hold; training reads them too."""

MODEL = "head_haemorrhage"
INPUT, PROBABILITY, MAP = "slices", "probability", "map"
TYPES = ("intraparenchymal", "intraventricular", "subarachnoid", "epidural", "subdural")
ANY, FRACTURE = 0, 6
"""Columns of the probabilities; the types lie between."""
