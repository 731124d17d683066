"""Run published bias benchmarks, whose cases are read from files, on a trained model."""
