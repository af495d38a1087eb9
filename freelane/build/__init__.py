"""``freelane build``: an app's own modules compiled ahead of time by Cython, with the same answers.

A module's statements stay Python's: classes, decorators, defaults and annotations are made by the interpreter, as ever.
Each function that keeps its meaning is compiled, and takes the place of the interpreted one as it is defined.
"""
