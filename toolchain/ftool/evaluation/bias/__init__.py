"""Published bias benchmarks, run on a trained model from the benchmark's file of cases."""
