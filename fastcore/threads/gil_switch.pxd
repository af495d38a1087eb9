# Turning the GIL on and letting it go; no state of its own.
