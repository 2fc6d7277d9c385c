"""What the recipes' examples are made of; it is not installed."""
