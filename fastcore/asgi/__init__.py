"""ASGI over Granian's protocols: gateway, scopes, exchanges. Imports threads and routing."""
