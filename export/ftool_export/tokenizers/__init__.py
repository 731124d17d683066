"""Read the tokenizers of checkpoints, and compare them with their source files and with the runtime's tokenizer."""
