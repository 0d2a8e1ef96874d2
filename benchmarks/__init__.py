"""Side-by-side measurements, one command each: `python -m benchmarks.<name>`; all: `-m benchmarks`.

Each runs both sides in one process or on one machine, in one run, in an order drawn anew for
each round, and reports ratios with an interval over rounds. They are no tests: they assert
nothing about time.
"""
