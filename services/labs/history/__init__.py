"""Over time: what is kept of a patient's results, and what a result says beside the earlier ones.

Pure: `rows document past` are what is kept and how; `changes trend kidney specimen overtime` what
follows from it. The edge is `services.labs.store`.
"""
