"""Time a bundle and other engines on the same texts, each engine in its own process.

Keep this file free of imports: worker processes import `ftool.bench.worker`, so imports here would count against the
engine being timed.
"""
