"""Fine-tuning: one Trainer loop for all tasks, and each task's rows and losses."""
