# cython: language_level=3, freethreading_compatible=True
"""What stands for the event loop in Granian's hands."""
from freelane.fastcore.threads.body_reader cimport BodyReader


cdef class GranianLoop:
    """Has the methods of ``loop`` that Granian calls; ``run(stopped)`` runs it until the future is done.

    Granian wakes the loop once for every awaitable it completes. Here those callbacks join
    the lane's batch, and those that need no loop run where Granian is.
    """

    def __cinit__(self, object loop, LoopQueue lane not None, object run):
        self.loop = loop
        self.lane = lane
        self.run = run

    def call_soon_threadsafe(self, callback, *args, context=None):
        """``callback(*args)`` soon; any thread may call this."""
        if isinstance(callback, BodyReader):
            (<BodyReader>callback).arrive(args[0])
        elif len(args) == 1:
            self.lane.post(callback, args[0])
        else:
            self.lane.post(lambda nothing: callback(*args), None)

    def call_soon(self, callback, *args, context=None):
        self.call_soon_threadsafe(callback, *args)

    def create_future(self):
        return self.loop.create_future()

    def run_until_complete(self, stopped):
        return self.run(stopped)

    def __getattr__(self, name):
        return getattr(self.loop, name)
