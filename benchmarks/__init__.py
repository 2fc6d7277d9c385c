"""Timing, parity and memory of the recurrent layers, and what they report."""
