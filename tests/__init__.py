"""Tests of the three packages, in rooms named as the sources are; `helpers` is what they share."""
