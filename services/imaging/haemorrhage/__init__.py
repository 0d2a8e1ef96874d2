"""Intracranial haemorrhage on head CT. Pure: no I/O.

The head is found and brought into its own frame (`frame`, `brain`, `prepare`), the network asked
(`score`), the extent found in CT numbers (`segment`), measured (`characterise`, `midline`) and
judged (`urgency`). `reader` puts it together.
"""
