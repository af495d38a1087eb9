"""Threads and the event loop: executor, futures, the queue in front of a loop. Imports nothing of ours."""
