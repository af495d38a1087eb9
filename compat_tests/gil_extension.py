"""A C extension without a ``Py_mod_gil`` slot, built by setuptools for the tests of the gil lane."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = r"""
#include <Python.h>
#include <stdlib.h>
#include <string.h>

static PyObject *answer(PyObject *self, PyObject *ignored) { return PyLong_FromLong(42); }

/* Never returns, and never lets go of the GIL. */
static PyObject *spin(PyObject *self, PyObject *ignored) {
    for (volatile unsigned long i = 0;; i++) {}
    return NULL;
}

static PyObject *segfault(PyObject *self, PyObject *ignored) { *(volatile int *)0 = 1; Py_RETURN_NONE; }

/* Touches so many MiB and keeps them, where the compiler cannot know that nobody reads them. */
static char *volatile kept;
static PyObject *eat(PyObject *self, PyObject *count) {
    size_t size = (size_t)PyLong_AsLong(count) << 20;
    char *memory = malloc(size);
    if (memory == NULL) return PyErr_NoMemory();
    memset(memory, 1, size);
    kept = memory;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"answer", answer, METH_NOARGS, NULL}, {"spin", spin, METH_NOARGS, NULL},
    {"segfault", segfault, METH_NOARGS, NULL}, {"eat", eat, METH_O, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "needsgil", NULL, -1, methods};
PyMODINIT_FUNC PyInit_needsgil(void) { return PyModule_Create(&module); }
"""

SETUP = """
from setuptools import Extension, setup
setup(name="needsgil", version="1.0", ext_modules=[Extension("needsgil", ["needsgil.c"])])
"""


def build(directory: Path, python: str = sys.executable) -> None:
    """Put ``needsgil`` into ``directory``."""
    directory.mkdir(exist_ok=True)
    (directory / "needsgil.c").write_text(SOURCE)
    (directory / "setup.py").write_text(SETUP)
    command = [python, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
