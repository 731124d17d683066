"""Reports for people: one self-contained HTML page, made from what a model folder holds."""
