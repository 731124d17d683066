"""Read and write Hugging Face checkpoints; there is one module for each kind of model."""
