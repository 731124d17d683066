"""Published bias benchmarks, run on any fitting model from a file of their cases."""
