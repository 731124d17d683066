"""Read data sets from files and the Hugging Face hub, check them, and split them."""
