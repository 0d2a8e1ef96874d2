"""JSON for operators and the command line: cases, queues, dead letters. No identity in it."""
