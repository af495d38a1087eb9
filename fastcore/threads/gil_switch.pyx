# cython: language_level=3, freethreading_compatible=False
"""Importing this turns the GIL on where that is permitted: it is the one module here that does not declare itself safe."""
