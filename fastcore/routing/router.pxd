# cython: language_level=3
# The map of the router: what a published tree looks like in memory, and who may write what.
#
# A Snapshot's arrays are filled before it is published and never written again, so any
# number of threads read them without a lock. They hold borrowed references, kept alive by
# Snapshot.routes. Router.lock guards Router.routes, .ticket and .published; nothing else
# here changes after construction.
cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef struct Text:                # a str's characters, while the str is alive
    int kind
    const void* data
    Py_ssize_t size

cdef struct Label:               # a run of Snapshot.letters
    int first
    int size

cdef struct Param:
    PyObject* name
    PyObject* convertor          # None unless making is AS_CALL
    int making                   # AS_*: how the value is made of its text
    int group                    # its group where a regex matched

cdef struct Term:                # a route, at the node where its pattern ends
    uint64_t methods             # one bit each; all bits for a route of any method
    PyObject* value
    PyObject* hit                # the ready answer of a route without parameters, else NULL
    int index                    # order of registration
    int param_first
    int param_count
    bint calls                   # a user's convertor, which may raise, makes a value
    bint ints                    # so may int(), but only of very long text

cdef struct Node:
    Label label                  # text that leads here from the parent
    int term_first
    int term_count
    int child_first              # static children, contiguous, sorted by first letter
    int child_count
    int arm_first                # parameters, in the order in which they are tried
    int arm_count
    int lowest                   # lowest index of any route from here on

cdef struct Arm:
    int kind                     # UUID .. REGEX
    Label text                   # what must follow a STR or PATH
    PyObject* regex              # bound match() of the whole expression, for REGEX
    int target                   # the node behind it
    int param_first              # whose groups to read, for REGEX
    int param_count

cdef struct Frame:               # a node whose arms are still to be tried
    int node
    int arm
    int depth                    # parameters captured on the way to it
    Py_ssize_t pos

cdef struct Walk:
    uint64_t method              # the bit of the method asked for
    int best                     # the winning term, or -1
    int partial                  # the first term of another method, or -1
    uint64_t allowed             # methods of every partial match met
    Py_ssize_t visited           # nodes and arms looked at
    Frame* frames
    Py_ssize_t* spans            # start and end of each parameter on the way
    Py_ssize_t* best_spans
    Py_ssize_t* partial_spans

cdef class Route:
    cdef readonly str path       # a mount's "/{path:path}" included
    cdef readonly tuple methods  # sorted; None for any
    cdef readonly object value
    cdef readonly object pattern

cdef class MethodNotAllowed:
    cdef readonly object value
    cdef readonly dict params
    cdef readonly tuple methods
    cdef readonly tuple allow

cdef class Snapshot:
    cdef readonly tuple routes
    cdef bint first              # the order of preference: first registered, or most specific
    cdef tuple keep              # owns what only the arrays refer to
    cdef tuple methods           # the name behind each bit
    cdef Label* method_labels
    cdef Py_UCS4* letters
    cdef Node* nodes
    cdef Arm* arms
    cdef Term* terms
    cdef Param* params
    cdef int method_count
    cdef int frame_room          # frames one walk may need
    cdef int span_room           # parameters of the longest pattern

    cdef object find(self, str method, str path, Py_ssize_t* visited)
    cdef uint64_t method_bit(self, str method) noexcept
    cdef bint is_at(self, Text* text, Py_ssize_t pos, Label label) noexcept
    cdef list walk(self, Text* text, str path, Walk* w)
    cdef bint may_win(self, Walk* w, int lowest) noexcept
    cdef int child_at(self, Node* node, Text* text, Py_ssize_t pos) noexcept
    cdef list settle(self, Node* node, int depth, Text* text, Walk* w, list notes)
    cdef Py_ssize_t arm_end(self, Arm* arm, Text* text, Py_ssize_t pos, Py_ssize_t* span) noexcept
    cdef bint regex_matches(self, Arm* arm, str path, Py_ssize_t* spans) except -1
    cdef object answer(self, str path, Walk* w, list notes)
    cdef int convert_in_order(self, str path, list notes, int limit, bint won) except -1
    cdef tuple method_names(self, uint64_t bits)
    cdef dict values(self, Term* term, str path, Py_ssize_t* spans)

cdef class Router:
    cdef readonly str order
    cdef dict types              # the user's convertors by type name
    cdef list cell               # [the published Snapshot]
    cdef cython.pymutex lock     # guards the three below
    cdef list routes
    cdef uint64_t ticket         # of the newest publication begun
    cdef uint64_t published      # of the newest one finished
