"""Read checkpoints' tokenizers, and compare them with their source files and with the runtime."""
