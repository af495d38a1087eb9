"""The gates to private names of frameworks, and the releases in which they are known. Imports nothing of ours."""
