"""Ordinary Starlette apps that the harness serves. They import nothing of freelane."""
