"""The sections of a report, one file each: JSON in, HTML out."""
