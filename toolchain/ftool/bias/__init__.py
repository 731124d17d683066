"""Evaluations of bias that others published, run on any model of ours from a file of their cases."""

from .suites import SUITES, SuiteSettings, evaluate_suite

__all__ = ["SUITES", "SuiteSettings", "evaluate_suite"]
