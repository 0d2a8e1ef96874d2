"""Lung nodules on a CT: prepare, detect, score, segment, characterise. Pure: no I/O."""
