# cython: language_level=3, freethreading_compatible=True
"""``-X gil=0``, and undoing it, in a running interpreter (PEP 703): what an app loads decides, known once it is loaded."""

import importlib
import sys
import warnings


def keep_off():
    """Keep the GIL off whatever an extension module asks for, as ``-X gil=0`` does; returns whether that could be done.

    Call it before there are other threads. False on an interpreter whose layout is not known,
    where the GIL is on, and where somebody has said what it is to be.
    """
    if sys._is_gil_enabled() or not freelane_forbid_gil(sys.get_int_max_str_digits(), not sys.dont_write_bytecode):
        return False
    sys._xoptions["gil"] = "0"
    return True


def permit():
    """Let an extension module that asks for the GIL have it, as without ``-X gil=0``; returns whether that could be done.

    Call it before there are other threads. False on an interpreter whose layout is not known,
    and where the GIL is not kept off.
    """
    if not freelane_let_gil(sys.get_int_max_str_digits(), not sys.dont_write_bytecode):
        return False
    # Whoever asks the interpreter what it was told must hear what is in force.
    sys._xoptions.pop("gil", None)
    return True


def turn_on():
    """Turn the GIL on for good; returns whether it is on. Call it before there are other threads."""
    if not sys._is_gil_enabled() and permit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever calls this says why
            importlib.import_module("freelane.fastcore.threads.gil_switch")
    return sys._is_gil_enabled()
