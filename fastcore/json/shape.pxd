# How values of one declared type become JSON. A Shape and its Members are constant once made.
from freelane.fastcore.json.text cimport Text

cdef enum:
    STR, INT, FLOAT, BOOL, NONE, ANY, NULLABLE, LIST, PAIRS, MODEL, OTHER

cdef class Member:
    cdef readonly str name       # in an instance
    cdef readonly str key        # in a dict
    cdef readonly bytes head     # `"alias":`; None for one that is left out
    cdef readonly Shape shape
    cdef readonly object default # UNSET where it must be given
    cdef readonly object factory # makes the default; None where that is a value

cdef class Shape:
    cdef int kind
    cdef readonly Shape inner
    cdef readonly object cls
    cdef readonly tuple members
    cdef readonly bint closed    # whether a dict may have no other keys
    cdef readonly bint skips_none
    cdef readonly bint skips_unset
    cdef readonly object check   # as `pydantic_core.SchemaValidator.validate_python`
    cdef readonly object write   # (value) -> bytes

    cdef bint put(self, Text text, object value, bint checked) except -1
    cdef bint put_float(self, Text text, double value) except -1
    cdef bint put_any(self, Text text, object value, int depth) except -1
    cdef bint put_members(self, Text text, dict given) except -1
    cdef bint put_instance(self, Text text, object value) except -1
