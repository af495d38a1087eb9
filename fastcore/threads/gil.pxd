# gil: keeps the interpreter's GIL off, or lets it turn it on after all. No state of its own.
cdef extern from "gil_config.h":
    int freelane_let_gil(int digits, int write)
    int freelane_forbid_gil(int digits, int write)
