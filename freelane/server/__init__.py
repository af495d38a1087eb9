"""Serve an app on sockets: host, runtime, Granian, signals, logs. Imports adapters and the gil lane, never the commands."""
