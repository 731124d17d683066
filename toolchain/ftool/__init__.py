"""Fine-tune, export, prove and time text models."""
