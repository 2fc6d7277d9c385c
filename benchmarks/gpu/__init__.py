"""Verifies a GPU's backends, then times its layers; see __main__.py."""
