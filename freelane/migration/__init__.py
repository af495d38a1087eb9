"""The way from one app to another, in steps that can be taken back: copies of requests, a share of them, a path at a time.

``front`` stands before the app that is served and chooses who answers: ``plan`` says who, ``sides`` are the apps, URLs and
processes that can. ``copies`` asks another side the same and compares, ``counters`` is what became of all of it, ``page`` and
``metrics`` show it, ``state_file`` is what moves it while it runs. Imported where an option asks for it.
"""
