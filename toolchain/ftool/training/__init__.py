"""Fine-tuning: one Trainer loop, and the rows and losses of each task."""
