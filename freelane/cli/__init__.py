"""The ``freelane`` command. Imports everything; nothing imports it."""
