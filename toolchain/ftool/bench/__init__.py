"""Times a bundle beside other engines on the same texts, each in a process of its own.

This file imports nothing: a worker process imports `ftool.bench.worker`, and what stands here would count against
the engine that it times.
"""
