"""Pull requests for SpeechBrain: what they change, and what checks them."""
