"""For who works on this package, not installed with it.

demo_corpus makes what the recipes' examples read; rate is the yardstick of who
changes the CPU's loop over time.
"""
