"""What of an app needs the GIL: its extensions, and the code that reaches them. Imports adapters."""
