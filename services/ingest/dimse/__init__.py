"""DICOM over the network as modalities speak it: C-ECHO, C-STORE, storage commitment.

What arrives goes into the intake as it was sent, byte for byte, and waits there for the
submission that names its study. Nothing is acknowledged before it is kept.
"""
