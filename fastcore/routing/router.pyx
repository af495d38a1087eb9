# cython: language_level=3, freethreading_compatible=True
"""The router: (method, path) -> route, by a compressed radix tree, without locks for readers.

Same winner, same parameters and same 405 as ``starlette.routing.Router``, in one walk
over the path instead of one regex per route; or, with ``order="specific"``, the most
specific route wins. See ``router.pyi`` for the API and ``router.pxd`` for the layout.

Paths are matched as ASGI's ``scope["path"]`` gives them: percent-decoded already, so
``%2F`` has become a ``/``. The router decodes nothing.

The walk visits each node of the tree at most once, because every step but a regex can end
in one place only; its state is a stack of nodes, so nothing recurses.
"""

cimport cython
from cpython.dict cimport PyDict_SetItem
from cpython.long cimport PyLong_FromLongLong
from cpython.object cimport PyObject
from cpython.unicode cimport (
    PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, PyUnicode_Substring,
)
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcpy

from freelane.fastcore.threads.atomic_ref cimport cell_get, cell_set
from freelane.fastcore.routing.route_pattern import parse
from freelane.fastcore.routing.route_tree import flatten
from operator import itemgetter
from uuid import UUID as make_uuid

cdef enum:
    STATIC, UUID, INT, FLOAT, STR, PATH, REGEX             # as in route_pattern

cdef enum:
    AS_TEXT, AS_INT, AS_FLOAT, AS_UUID, AS_CALL            # as in route_pattern

cdef enum:
    FRAMES = 16        # what a walk keeps on the C stack; deeper trees use the heap
    SPANS = 16
    METHODS = 63       # one bit each, and one for a method that no route names
    LONG_INT = 640     # the lowest limit Python lets anyone set on int()'s digits

cdef uint64_t ANY = <uint64_t>-1
cdef uint64_t UNKNOWN = <uint64_t>1 << METHODS
include "router_text.pxi"


cdef class Route:
    def __cinit__(self, str path, tuple methods, value, pattern):
        self.path = path
        self.methods = methods
        self.value = value
        self.pattern = pattern

    def __repr__(self):
        return f"Route({self.path!r}, {self.methods!r}, {self.value!r})"


cdef class MethodNotAllowed:
    def __cinit__(self, value, dict params, tuple methods, tuple allow):
        self.value = value
        self.params = params
        self.methods = methods
        self.allow = allow

    def __repr__(self):
        return f"MethodNotAllowed(allow={self.allow!r}, value={self.value!r})"


@cython.no_gc_clear  # the arrays borrow from `routes` and `keep`
cdef class Snapshot:
    def __init__(self, *args, **kwargs):
        raise TypeError("a Snapshot comes from Router.publish()")

    def __dealloc__(self):
        free(self.letters)
        free(self.method_labels)
        free(self.nodes)
        free(self.arms)
        free(self.terms)
        free(self.params)

    def __len__(self):
        return len(self.routes)

    def match(self, str method not None, str path not None):
        return self.find(method, path, NULL)

    def visits(self, str method not None, str path not None):
        cdef Py_ssize_t visited = 0
        self.find(method, path, &visited)
        return visited

    cdef object find(self, str method, str path, Py_ssize_t* visited):
        cdef Frame frames[FRAMES]
        cdef Py_ssize_t spans[3 * 2 * SPANS]
        cdef Walk w
        cdef Text text = text_of(path)
        cdef list notes
        cdef char* heap = NULL
        w.method = self.method_bit(method)
        w.best = w.partial = -1
        w.allowed = 0
        w.visited = 0
        w.frames = frames
        w.spans = spans
        if self.frame_room > FRAMES or self.span_room > SPANS:
            heap = <char*>malloc(self.frame_room * sizeof(Frame) + 6 * self.span_room * sizeof(Py_ssize_t))
            if heap == NULL:
                raise MemoryError
            w.spans = <Py_ssize_t*>heap
            w.frames = <Frame*>(heap + 6 * self.span_room * sizeof(Py_ssize_t))
        w.best_spans = w.spans + 2 * self.span_room
        w.partial_spans = w.best_spans + 2 * self.span_room
        try:
            notes = self.walk(&text, path, &w)
            if visited != NULL:
                visited[0] = w.visited
            if w.best < 0 and w.partial < 0:
                return None
            if notes is None and w.best >= 0 and self.terms[w.best].hit != NULL:
                return <object>self.terms[w.best].hit
            return self.answer(path, &w, notes)
        finally:
            free(heap)

    cdef uint64_t method_bit(self, str method) noexcept:
        cdef Text text = text_of(method)
        cdef Py_ssize_t at
        for at in range(self.method_count):
            if self.method_labels[at].size == text.size and self.is_at(&text, 0, self.method_labels[at]):
                return <uint64_t>1 << at
        return UNKNOWN

    cdef inline bint is_at(self, Text* text, Py_ssize_t pos, Label label) noexcept:
        cdef Py_UCS4* letters = self.letters + label.first
        cdef const unsigned char* bytes_
        cdef int at
        if text.size - pos < label.size:
            return False
        if text.kind == 1:
            bytes_ = <const unsigned char*>text.data + pos
            for at in range(label.size):
                if bytes_[at] != letters[at]:
                    return False
        else:
            for at in range(label.size):
                if letter(text, pos + at) != letters[at]:
                    return False
        return True

    cdef list walk(self, Text* text, str path, Walk* w):
        """Find the winner; the list is of partial matches whose conversion may raise."""
        cdef int at = 0, child, depth = 0, top = 0
        cdef Py_ssize_t pos = 0, end
        cdef Node* node
        cdef Arm* arm
        cdef Frame* frame
        cdef list notes = None
        while True:
            node = self.nodes + at
            w.visited += 1
            if node.term_count and ends_at(text, pos):
                notes = self.settle(node, depth, text, w, notes)
                if w.best >= 0 and not self.first:
                    return notes
            if node.arm_count:
                frame = w.frames + top
                frame.node, frame.arm, frame.depth, frame.pos = at, 0, depth, pos
                top += 1
            if node.child_count and pos < text.size:
                child = self.child_at(node, text, pos)
                if child >= 0 and self.may_win(w, self.nodes[child].lowest):
                    at = child
                    pos += self.nodes[child].label.size
                    continue
            # the static branch is done: on to the next arm that matches, deepest node first
            at = -1
            while top and at < 0:
                frame = w.frames + top - 1
                node = self.nodes + frame.node
                pos, depth = frame.pos, frame.depth
                while at < 0 and frame.arm < node.arm_count:
                    arm = self.arms + node.arm_first + frame.arm
                    frame.arm += 1
                    w.visited += 1
                    if not self.may_win(w, self.nodes[arm.target].lowest):
                        continue
                    if arm.kind == REGEX:
                        if self.regex_matches(arm, path, w.spans):
                            at, depth, pos = arm.target, arm.param_count, text.size
                        continue
                    end = self.arm_end(arm, text, pos, w.spans + 2 * depth)
                    if end >= 0:
                        at, depth, pos = arm.target, depth + 1, end
                if at < 0:
                    top -= 1
            if at < 0:
                return notes

    cdef inline bint may_win(self, Walk* w, int lowest) noexcept:
        return w.best < 0 or lowest < self.terms[w.best].index

    cdef inline int child_at(self, Node* node, Text* text, Py_ssize_t pos) noexcept:
        """The static child whose label stands at ``pos``, by bisection on first letters."""
        cdef Py_UCS4 wanted = letter(text, pos)
        cdef Py_UCS4 found
        cdef int low = node.child_first, high = low + node.child_count, middle
        while low < high:
            middle = (low + high) >> 1
            found = self.letters[self.nodes[middle].label.first]
            if found == wanted:
                return middle if self.is_at(text, pos, self.nodes[middle].label) else -1
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return -1

    cdef list settle(self, Node* node, int depth, Text* text, Walk* w, list notes):
        """Weigh the routes that end at ``node``, where the path has ended too."""
        cdef int at
        cdef Term* term
        for at in range(node.term_first, node.term_first + node.term_count):
            term = self.terms + at
            if not self.may_win(w, term.index):
                break
            if term.methods & w.method:
                w.best = at
                memcpy(w.best_spans, w.spans, 2 * depth * sizeof(Py_ssize_t))
                break  # the node's other routes were registered later
            w.allowed |= term.methods
            if w.partial < 0 or self.first and term.index < self.terms[w.partial].index:
                w.partial = at
                memcpy(w.partial_spans, w.spans, 2 * depth * sizeof(Py_ssize_t))
            if self.first and (term.calls or term.ints and text.size > LONG_INT):
                notes = [] if notes is None else notes
                notes.append((term.index, at, [w.spans[i] for i in range(2 * depth)]))
        return notes

    cdef Py_ssize_t arm_end(self, Arm* arm, Text* text, Py_ssize_t pos, Py_ssize_t* span) noexcept:
        """Where the parameter and the text it takes along end, or -1; ``span`` is its value."""
        cdef Py_ssize_t end, size = arm.text.size
        if arm.kind == STR:
            end = find(text, pos, c"/")
            span[1] = end - size
            if size and not (span[1] > pos and self.is_at(text, span[1], arm.text)):
                # a "$" also matches before the newline that ends the path
                if end != text.size or end == pos or letter(text, end - 1) != c"\n":
                    return -1
                end -= 1
                span[1] = end - size
                if span[1] <= pos or not self.is_at(text, span[1], arm.text):
                    return -1
        elif arm.kind == PATH:
            end = text.size
            if end > pos and letter(text, end - 1) == c"\n":
                end -= 1
            span[1] = end - size
            if span[1] < pos or not self.is_at(text, span[1], arm.text):
                return -1
            if find(text, pos, c"\n") < span[1]:
                return -1
            span[0] = pos
            return end
        else:
            end = uuid_end(text, pos) if arm.kind == UUID else number_end(text, pos, arm.kind == FLOAT)
            span[1] = end
        span[0] = pos
        return end if span[1] > pos else -1

    cdef bint regex_matches(self, Arm* arm, str path, Py_ssize_t* spans) except -1:
        cdef object found = (<object>arm.regex)(path)
        cdef tuple regions
        cdef int at
        if found is None:
            return False
        regions = found.regs
        for at in range(arm.param_count):
            spans[2 * at], spans[2 * at + 1] = regions[self.params[arm.param_first + at].group]
        return True

    cdef object answer(self, str path, Walk* w, list notes):
        """Make the values: of the winner, and before it of what Starlette would have met first."""
        cdef Term* term = self.terms + (w.best if w.best >= 0 else w.partial)
        cdef Route route
        cdef dict params
        if w.best < 0:
            params = self.values(term, path, w.partial_spans)
        if notes is not None:
            self.convert_in_order(path, notes, term.index, w.best >= 0)
        if w.best >= 0:
            return <object>term.value, self.values(term, path, w.best_spans)
        route = self.routes[term.index]
        return MethodNotAllowed.__new__(
            MethodNotAllowed, route.value, params, route.methods, self.method_names(w.allowed)
        )

    cdef int convert_in_order(self, str path, list notes, int limit, bint won) except -1:
        """Let a convertor raise here where Starlette's loop would have met it."""
        cdef Py_ssize_t* spans
        cdef int index, at, i
        cdef list bounds
        for index, at, bounds in sorted(notes, key=itemgetter(0)):
            if index == limit or won and index > limit:
                continue
            spans = <Py_ssize_t*>malloc((len(bounds) + 1) * sizeof(Py_ssize_t))
            if spans == NULL:
                raise MemoryError
            try:
                for i in range(<int>len(bounds)):
                    spans[i] = bounds[i]
                self.values(self.terms + at, path, spans)
            finally:
                free(spans)
        return 0

    cdef tuple method_names(self, uint64_t bits):
        cdef int at
        return tuple(sorted([self.methods[at] for at in range(self.method_count) if bits >> at & 1]))

    cdef dict values(self, Term* term, str path, Py_ssize_t* spans):
        cdef dict params
        cdef Param* param
        cdef object value
        cdef Py_ssize_t start, end
        cdef int at
        if not term.param_count:
            return None
        params = {}
        for at in range(term.param_count):
            param = self.params + term.param_first + at
            start, end = spans[2 * at], spans[2 * at + 1]
            # a group that took no part is None to Starlette's convertor too
            value = None if start < 0 else PyUnicode_Substring(path, start, end)
            if param.making == AS_INT:
                value = int_of(value)
            elif param.making == AS_FLOAT:
                value = float(value)
            elif param.making == AS_UUID:
                value = make_uuid(value)
            elif param.making == AS_CALL:
                value = (<object>param.convertor).convert(value)
            PyDict_SetItem(params, <object>param.name, value)
        return params


include "router_build.pxi"


cdef class Router:
    def __cinit__(self, str order not None="first", *, convertors=None):
        if order not in ("first", "specific"):
            raise ValueError(f"order is 'first' or 'specific', not {order!r}")
        self.order = order
        self.types = dict(convertors or {})
        self.routes = []
        self.cell = [publishable((), order == "first")]

    def add(self, str path not None, methods, value, *, bint prefix=False, convertors=None):
        cdef Route route
        if isinstance(methods, str):
            raise TypeError("methods is an iterable of names, not one name")
        pattern = parse(path, prefix=prefix, types=self.types, convertors=convertors)
        names = None if methods is None else tuple(sorted({name.upper() for name in methods}))
        # Starlette takes an empty set for "any method" as well
        route = Route.__new__(Route, pattern.path, names or None, value, pattern)
        with self.lock:
            self.routes.append(route)
            return len(self.routes) - 1

    def clear(self):
        cdef list old
        cdef list empty = []
        with self.lock:
            old = self.routes
            self.routes = empty
        del old  # freeing them may run anything: not under the lock

    def publish(self):
        cdef Snapshot made
        cdef uint64_t ticket
        cdef tuple routes
        with self.lock:
            self.ticket += 1
            ticket = self.ticket
            routes = tuple(self.routes)
        # built outside the lock, since building runs Python and so, now and then, the collector
        made = publishable(routes, self.order == "first")
        old = cell_get(self.cell)
        with self.lock:
            if ticket > self.published:  # else a later publication overtook this one
                cell_set(self.cell, made)
                self.published = ticket
        del old  # freeing it may run anything: not under the lock
        return made

    def snapshot(self):
        return cell_get(self.cell)

    def match(self, str method not None, str path not None):
        cdef Snapshot current = <Snapshot>cell_get(self.cell)
        return current.find(method, path, NULL)

    def __len__(self):
        with self.lock:
            return len(self.routes)
