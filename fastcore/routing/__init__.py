"""From (method, path) to what answers: router, patterns, dispatcher. Imports asgi and threads."""
