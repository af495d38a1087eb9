# Reading the path: the letters of a str, and where each kind of parameter ends in it.

cdef inline Text text_of(str text) noexcept:
    cdef Text made
    made.kind = PyUnicode_KIND(text)
    made.data = PyUnicode_DATA(text)
    made.size = PyUnicode_GET_LENGTH(text)
    return made


cdef inline unsigned int letter(Text* text, Py_ssize_t at) noexcept:
    # an integer: Cython would make a str of a Py_UCS4 that is calculated with
    return <unsigned int>PyUnicode_READ(text.kind, text.data, at)


cdef inline bint is_digit(Text* text, Py_ssize_t at) noexcept:
    return at < text.size and c"0" <= letter(text, at) <= c"9"


cdef inline bint is_hex(Text* text, Py_ssize_t at) noexcept:
    return is_digit(text, at) or at < text.size and c"a" <= (letter(text, at) | 0x20) <= c"f"


cdef inline bint ends_at(Text* text, Py_ssize_t at) noexcept:
    """A regex's ``$``: the end, or before the newline at the end."""
    return at == text.size or at == text.size - 1 and letter(text, at) == c"\n"


cdef inline Py_ssize_t find(Text* text, Py_ssize_t pos, unsigned char wanted) noexcept:
    """Where ``wanted`` is next, or the end of the text."""
    cdef const unsigned char* data
    cdef const void* found
    if text.kind == 1:
        data = <const unsigned char*>text.data
        found = memchr(data + pos, wanted, text.size - pos)
        return text.size if found == NULL else <const unsigned char*>found - data
    while pos < text.size and letter(text, pos) != wanted:
        pos += 1
    return pos


cdef Py_ssize_t number_end(Text* text, Py_ssize_t pos, bint fraction) noexcept:
    cdef Py_ssize_t end = pos
    while is_digit(text, end):
        end += 1
    if fraction and end > pos and end < text.size and letter(text, end) == c"." and is_digit(text, end + 1):
        end += 2
        while is_digit(text, end):
            end += 1
    return end


cdef Py_ssize_t uuid_end(Text* text, Py_ssize_t pos) noexcept:
    """The end of 8-4-4-4-12 hexadecimal digits, each dash optional, or -1."""
    cdef int digits
    for digits in range(32):
        if digits in (8, 12, 16, 20) and pos < text.size and letter(text, pos) == c"-":
            pos += 1
        if not is_hex(text, pos):
            return -1
        pos += 1
    return pos


cdef object int_of(str digits):
    """``int(digits)`` of ASCII digits, by hand where it fits a C number."""
    cdef Text text
    cdef Py_ssize_t at
    cdef long long value = 0
    text = text_of(digits)
    if text.size > 18:
        return int(digits)
    for at in range(text.size):
        value = 10 * value + <int>(letter(&text, at) - c"0")
    return PyLong_FromLongLong(value)
