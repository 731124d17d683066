"""Kill commands, fill their disk and make their folders read-only, then run them again and compare the results.

`python -m tests.faults --help` runs it; `make test-faults` runs the long version, whose table is in
docs/reliability.md. Linux only: see `shim`.
"""
