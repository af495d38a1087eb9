# cython: language_level=3, freethreading_compatible=True
"""Values of a declared type as JSON text, checked and written in one pass.

For values that have the declared types already, which is what validation would find: ``text`` gives
None for all others, having touched nothing of them but the items of dicts and lists.
"""
from cpython.dict cimport PyDict_Items
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from cpython.sequence cimport PySequence_Tuple

from freelane.fastcore.json.text cimport Text

cdef extern from "Python.h":
    int PyDict_GetItemRef(object dict, object key, PyObject** found) except -1
    object PyObject_GenericGetDict(object value, void* context)

UNSET = object()

cdef dict KINDS = {
    "str": STR, "int": INT, "float": FLOAT, "bool": BOOL, "none": NONE, "any": ANY,
    "nullable": NULLABLE, "list": LIST, "dict": PAIRS,
}
# What a double holds of integers without rounding.
cdef long long EXACT = 1 << 53
cdef int DEEPEST = 64


cdef class Member:
    """A field of a model: ``head`` is its name in JSON with quotes and colon, None if it is left out."""

    def __cinit__(self, str name, str key, bytes head, Shape shape, default=UNSET, factory=None):
        self.name = name
        self.key = key
        self.head = head
        self.shape = shape
        self.default = default
        self.factory = factory


cdef class Shape:
    """What values of one type look like; made by ``leaf``, ``other``, ``around`` and ``model``."""

    @staticmethod
    def leaf(str kind, write=None):
        """"str", "int", "float", "bool", "none" or "any"; ``write`` writes floats whose ``repr`` has an exponent."""
        cdef Shape made = Shape()
        made.kind = KINDS[kind]
        made.write = write
        return made

    @staticmethod
    def other(check, write):
        """A type of which only ``check(value)``, which raises ValueError, and ``write(value)`` are known."""
        cdef Shape made = Shape()
        made.kind = OTHER
        made.check = check
        made.write = write
        return made

    @staticmethod
    def around(str kind, Shape inner not None):
        """"nullable", "list", or "dict" with keys of type str."""
        cdef Shape made = Shape()
        made.kind = KINDS[kind]
        made.inner = inner
        return made

    @staticmethod
    def model(cls, tuple members, *, bint closed=False, bint skips_none=False, bint skips_unset=False):
        """A model of pydantic's, given as a dict or as an instance of exactly ``cls``."""
        cdef Shape made = Shape()
        made.kind = MODEL
        made.cls = cls
        made.members = members
        made.closed = closed
        made.skips_none = skips_none
        made.skips_unset = skips_unset
        return made

    def text(self, value):
        """The JSON text of a value, or None. Raises what ``write`` raises."""
        cdef Text text = Text.__new__(Text)
        return text.taken() if self.put(text, value, False) else None

    cdef bint put(self, Text text, object value, bint checked) except -1:
        # ``checked``: whether no validation would look at the value again.
        cdef bint first = True
        cdef int kind = self.kind
        if kind == NULLABLE:
            if value is None:
                text.put("null", 4)
                return True
            return self.inner.put(text, value, checked)
        if kind == STR:
            return type(value) is str and text.put_str(<str>value)
        if kind == INT:
            return type(value) is int and text.put_int(value)
        if kind == FLOAT:
            if type(value) is float:
                return self.put_float(text, <double>value)
            # Validation makes a float of it.
            return type(value) is int and not checked and -EXACT < value < EXACT and self.put_float(text, <double>value)
        if kind == BOOL:
            if value is True:
                text.put("true", 4)
            elif value is False:
                text.put("false", 5)
            else:
                return False
            return True
        if kind == NONE:
            if value is not None:
                return False
            text.put("null", 4)
            return True
        if kind == MODEL:
            if type(value) is dict:
                return not checked and self.put_members(text, <dict>value)
            return type(value) is self.cls and self.put_instance(text, value)
        if kind == LIST:
            if type(value) is not list:
                return False
            text.put_char(b"[")
            for item in PySequence_Tuple(value):
                if not first:
                    text.put_char(b",")
                first = False
                if not self.inner.put(text, item, checked):
                    return False
            text.put_char(b"]")
            return True
        if kind == PAIRS:
            if type(value) is not dict:
                return False
            text.put_char(b"{")
            for key, item in PyDict_Items(value):
                if not first:
                    text.put_char(b",")
                first = False
                if type(key) is not str or not text.put_str(<str>key):
                    return False
                text.put_char(b":")
                if not self.inner.put(text, item, checked):
                    return False
            text.put_char(b"}")
            return True
        if kind == ANY:
            return self.put_any(text, value, 0)
        try:
            text.put_bytes(self.write(value if checked else self.check(value)))
        except ValueError:
            return False
        return True

    cdef bint put_float(self, Text text, double value) except -1:
        cdef Py_ssize_t start = text.size, at
        if not text.put_float(value):
            return False
        if self.write is not None:
            for at in range(start, text.size):
                if text.data[at] == c"e":
                    text.size = start
                    text.put_bytes(self.write(value))
                    return True
        return True

    cdef bint put_any(self, Text text, object value, int depth) except -1:
        cdef bint first = True
        kind = type(value)
        if kind is str:
            return text.put_str(<str>value)
        if kind is int:
            return text.put_int(value)
        if kind is float:
            return self.put_float(text, <double>value)
        if value is None:
            text.put("null", 4)
        elif value is True:
            text.put("true", 4)
        elif value is False:
            text.put("false", 5)
        elif depth >= DEEPEST:
            return False
        elif kind is list or kind is tuple:
            text.put_char(b"[")
            for item in PySequence_Tuple(value):
                if not first:
                    text.put_char(b",")
                first = False
                if not self.put_any(text, item, depth + 1):
                    return False
            text.put_char(b"]")
        elif kind is dict:
            text.put_char(b"{")
            for key, item in PyDict_Items(value):
                if not first:
                    text.put_char(b",")
                first = False
                if type(key) is not str or not text.put_str(<str>key):
                    return False
                text.put_char(b":")
                if not self.put_any(text, item, depth + 1):
                    return False
            text.put_char(b"}")
        else:
            return False
        return True

    cdef bint put_members(self, Text text, dict given) except -1:
        # Validation looks the fields up in their order, and leaves out what else is there.
        cdef Member member
        cdef PyObject* found
        cdef object value
        cdef bint first = True, unset
        cdef Py_ssize_t used = 0
        text.put_char(b"{")
        for member in self.members:
            found = NULL
            PyDict_GetItemRef(given, member.key, &found)
            unset = found is NULL
            if not unset:
                value = <object>found
                Py_XDECREF(found)
                used += 1
            elif member.factory is not None:
                value = member.factory()
            elif member.default is UNSET:
                return False
            else:
                value = member.default
            if member.head is None or unset and self.skips_unset or value is None and self.skips_none:
                # It is not written; whether it is valid must be known all the same.
                if not unset and not member.shape.put(Text.__new__(Text), value, False):
                    return False
                continue
            if not first:
                text.put_char(b",")
            first = False
            text.put_bytes(member.head)
            if not member.shape.put(text, value, unset):
                return False
        text.put_char(b"}")
        return not self.closed or used == len(given)

    cdef bint put_instance(self, Text text, object value) except -1:
        # It is written in the order of its own dict, without a look at the types.
        cdef Member member
        cdef list pairs = PyDict_Items(PyObject_GenericGetDict(value, NULL))
        cdef Py_ssize_t at
        cdef bint first = True
        if self.skips_unset or len(pairs) != len(self.members) or getattr(value, "__pydantic_extra__", True):
            return False
        text.put_char(b"{")
        for at in range(len(pairs)):
            member = <Member>self.members[at]
            name, item = <tuple>pairs[at]
            if name != member.name:
                return False
            if member.head is None or item is None and self.skips_none:
                continue
            if not first:
                text.put_char(b",")
            first = False
            text.put_bytes(member.head)
            if not member.shape.put(text, item, True):
                return False
        text.put_char(b"}")
        return True
