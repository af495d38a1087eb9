# Laying a tree out in C, before any other thread knows it.

cdef void* room(size_t count, size_t size) except NULL:
    cdef void* made = calloc(count + 1, size)
    if made == NULL:
        raise MemoryError
    return made


cdef Label label_of(tuple pair):
    cdef Label made
    made.first, made.size = pair
    return made


cdef Snapshot publishable(tuple routes, bint first):
    """Lay the tree of ``routes`` out in C; no other thread knows the snapshot yet."""
    cdef Snapshot made = Snapshot.__new__(Snapshot)
    cdef Route route
    cdef Node* node
    cdef Arm* arm
    cdef Term* term
    cdef Param* param
    cdef list hits = []
    cdef int at
    names = dict.fromkeys([name for route in routes for name in route.methods or ()])
    if len(names) > METHODS:
        raise ValueError(f"more than {METHODS} different methods")
    flat = flatten([route.pattern for route in routes], first=first)
    made.routes, made.first, made.methods, made.keep = routes, first, tuple(names), (flat, hits)
    made.frame_room, made.span_room = flat.frame_room, flat.span_room
    made.method_count = len(names)

    letters = flat.letters + "".join(names)
    made.letters = <Py_UCS4*>room(len(letters), sizeof(Py_UCS4))
    for at, one in enumerate(letters):
        made.letters[at] = <Py_UCS4>one
    made.method_labels = <Label*>room(len(names), sizeof(Label))
    start = len(flat.letters)
    for at, name in enumerate(names):
        made.method_labels[at] = label_of((start, len(name)))
        start += len(name)
    bits = {name: 1 << at for at, name in enumerate(names)}

    made.params = <Param*>room(len(flat.params), sizeof(Param))
    for at, row in enumerate(flat.params):
        param = made.params + at
        param.name, param.convertor = <PyObject*>row.name, <PyObject*>row.convertor
        param.making, param.group = row.making, row.group

    made.terms = <Term*>room(len(flat.terms), sizeof(Term))
    for at, row in enumerate(flat.terms):
        term = made.terms + at
        route = routes[row.route]
        term.index = row.route
        term.param_first, term.param_count = row.params
        term.calls, term.ints = row.calls, row.ints
        term.methods = sum([bits[name] for name in route.methods]) if route.methods else ANY
        term.value = <PyObject*>route.value
        if not term.param_count:
            hit = (route.value, None)
            hits.append(hit)
            term.hit = <PyObject*>hit

    made.arms = <Arm*>room(len(flat.arms), sizeof(Arm))
    for at, row in enumerate(flat.arms):
        arm = made.arms + at
        arm.kind, arm.target, arm.text = row.kind, row.target, label_of(row.text)
        arm.regex = <PyObject*>row.regex
        arm.param_first, arm.param_count = row.params

    made.nodes = <Node*>room(len(flat.nodes), sizeof(Node))
    for at, row in enumerate(flat.nodes):
        node = made.nodes + at
        node.label, node.lowest = label_of(row.label), row.lowest
        node.term_first, node.term_count = row.terms
        node.child_first, node.child_count = row.children
        node.arm_first, node.arm_count = row.arms
    return made
