"""The binary protocol between the server and the gil lane's processes, and both of its ends. Imports asgi."""
