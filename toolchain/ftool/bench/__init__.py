"""Time a bundle against other engines on the same texts, each in its own process.

Keep this file free of imports: worker processes import `ftool.bench.worker`, so imports here would count against the
engine being timed.
"""
