"""Tests of the three packages, in folders named after the source folders; `helpers` is shared by all tests."""
