"""Recursion in compiled code ends in a RecursionError: each function looks whether its thread's stack has room.

Python counts its own frames, of which there are none here. A look is two loads and a comparison.
"""

from __future__ import annotations

STACK = "__freelane_stack__"
ROOM = "__freelane_room"

PXD = '''
cdef extern from *:
    """
    #ifndef FREELANE_ROOM
    #define FREELANE_ROOM
    #ifndef _WIN32
    #include <pthread.h>
    #endif
    /* The lowest address that a function may begin at, and the lowest of the stack; 0 before the first look. */
    static _Thread_local char *freelane_limit = 0;
    static _Thread_local char *freelane_lowest = 0;

    static CYTHON_INLINE int freelane_look(char *here) {
        if (!freelane_limit) {
            char *low = 0;
            size_t size = 0;
    #if defined(__APPLE__)
            size = pthread_get_stacksize_np(pthread_self());
            low = (char *) pthread_get_stackaddr_np(pthread_self()) - size;
    #elif defined(__linux__)
            pthread_attr_t attributes;
            if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
                void *address = 0;
                if (pthread_attr_getstack(&attributes, &address, &size) == 0) low = (char *) address;
                pthread_attr_destroy(&attributes);
            }
    #endif
            freelane_lowest = low;
            /* What Python and libraries may need below it. */
            freelane_limit = low ? low + (size > (1 << 21) ? (1 << 19) : size / 4) : (char *) 1;
        }
        /* A stack of another kind, such as a coroutine's of some library, is not known. */
        if (here >= freelane_limit || here < freelane_lowest) return 0;
        PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded");
        return -1;
    }

    static CYTHON_INLINE int freelane_room(void) {
        char *here = (char *) __builtin_frame_address(0);
        return freelane_limit && here >= freelane_limit ? 0 : freelane_look(here);
    }
    #endif
    """
    int __freelane_room "freelane_room"() except -1
'''
