"""Published bias benchmarks, run on any model from a file of their cases."""
