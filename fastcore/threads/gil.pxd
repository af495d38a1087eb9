# gil: lets the interpreter turn its GIL on after it was started with -X gil=0. No state of its own.
cdef extern from "gil_config.h":
    int freelane_let_gil(int digits, int write)
