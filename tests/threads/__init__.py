"""Call models from many threads, load and close them between calls, and compare answers and memory.

`python -m tests.threads --help` runs it; `make test-threads` runs the long version, whose table
is in docs/reliability.md.
"""
