"""HL7 v2 over the network as laboratory systems speak it: MLLP, with or without TLS.

Each message gets an answer, and a positive one only when what it makes is kept for good.
"""
