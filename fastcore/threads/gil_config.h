/* The interpreter's own record of what the GIL is to be (PyConfig.enable_gil, PEP 703), which no public function reaches. */
#ifndef FREELANE_GIL_CONFIG_H
#define FREELANE_GIL_CONFIG_H

#include <Python.h>

#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030F0000
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#define FREELANE_BUILD_CORE
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interp_structs.h>
#else
#include <internal/pycore_interp.h>
#endif
#ifdef FREELANE_BUILD_CORE
#undef Py_BUILD_CORE
#endif

/* `digits` is sys.get_int_max_str_digits(), `write` is not sys.dont_write_bytecode: the record must agree with
   them, and say what it is expected to, before it is believed to lie where this release's headers say. */
static int freelane_change_gil(int digits, int write, int from, int to) {
    PyConfig *config = &PyInterpreterState_Get()->config;
    if (config->int_max_str_digits != digits || config->write_bytecode != write || config->enable_gil != from)
        return 0;
    config->enable_gil = to;
    return 1;
}
/* -1: whoever asks for it has it; 0: it stays off. */
static int freelane_let_gil(int digits, int write) { return freelane_change_gil(digits, write, 0, -1); }
static int freelane_forbid_gil(int digits, int write) { return freelane_change_gil(digits, write, -1, 0); }
#else
static int freelane_let_gil(int digits, int write) { return 0; }
static int freelane_forbid_gil(int digits, int write) { return 0; }
#endif

#endif
