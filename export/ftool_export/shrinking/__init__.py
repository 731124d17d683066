"""Make checkpoints smaller: fewer layers, and a vocabulary of the pieces that a user's texts need."""
