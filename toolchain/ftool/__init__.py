"""Fine-tune, export, verify and time text models."""
