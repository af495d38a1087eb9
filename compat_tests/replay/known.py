"""Every case that differs from uvicorn: why, and in which aspects at most (see ``compare.differences``)."""

PARSER = "hyper and httptools parse HTTP apart at the edges: what one refuses with 400 the other may let pass"
REASON_PHRASE = "the reason phrase is the server's own and means nothing (RFC 9112, 4)"
HTTP_1_0 = "hyper answers HTTP/1.0 in its own version, and keeps a connection alive if asked to"
AFTER_ERROR = "uvicorn breaks the connection after an app's exception, also when the answer was complete"
HALF_CLOSED = "hyper takes the end of what the client sends for the client going away"
ORDER = "hyper keeps headers of one name together; order between names means nothing (RFC 9110, 5.3)"
PADDING = "hyper strips white space around a header's value (RFC 9110, 5.5)"
HEADER_LIMIT = "hyper limits the size of the header section"
REFUSED_HANDSHAKE = (
    "Granian adds headers of the handshake to an answer that refuses it, or leaves Content-Type out of an empty one"
)
BROKEN_FRAMES = "the WebSocket library below words its errors in its own way, or sees none of the broken frame's code"
CLOSE_REASON = "Granian does not pass on the reason of the client's close"
ACCEPT_HEADERS = "Granian cannot send headers with a WebSocket's acceptance: the app is told by an exception"
DEFLATE = "Granian has no permessage-deflate"
EARLY_FRAME = "a frame sent before the handshake's answer is kept by Granian and dropped by uvicorn"

# Cases that differ with some of Granian's versions only.
SOMETIMES = {"half-closed by client"}

KNOWN: dict[str, tuple[str, set[str]]] = {
    "status 299": (
        REASON_PHRASE,
        {"0 status"},
    ),
    "status 418": (
        REASON_PHRASE,
        {"0 status"},
    ),
    "status 599": (
        REASON_PHRASE,
        {"0 status"},
    ),
    "error handler": (
        REASON_PHRASE,
        {"0 status"},
    ),
    "path raw latin-1": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "path of brackets": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type", "0 status"},
    ),
    "query odd bytes": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type", "0 status"},
    ),
    "headers repeated": (
        ORDER,
        {"0 body"},
    ),
    "headers padded": (
        PADDING,
        {"0 body", "0 header content-length"},
    ),
    "half-closed by client": (
        HALF_CLOSED,
        {"0 answer", "0 body", "0 header content-length", "0 header content-type", "0 status", "0 whole"},
    ),
    "keep-alive after error": (
        AFTER_ERROR,
        {"1 answer", "1 body", "1 header content-length", "1 header content-type", "1 status", "1 whole", "2 end"},
    ),
    "keep-alive after def error": (
        AFTER_ERROR,
        {"1 answer", "1 body", "1 header content-length", "1 header content-type", "1 status", "1 whole", "2 end"},
    ),
    "HTTP/1.0": (
        HTTP_1_0,
        {"0 status"},
    ),
    "HTTP/1.0 keep-alive": (
        HTTP_1_0,
        {"0 status", "1 answer", "1 body", "1 header content-length", "1 header content-type", "1 status", "1 whole", "2 end"},
    ),
    "HTTP/1.0 stream": (
        HTTP_1_0,
        {"0 status", "0 header transfer-encoding"},
    ),
    "HTTP/1.0 without host": (
        HTTP_1_0,
        {"0 status"},
    ),
    "HTTP/1.0 scope": (
        HTTP_1_0,
        {"0 status"},
    ),
    "not HTTP": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "unknown version": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "HTTP/0.9": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type", "0 status"},
    ),
    "bad header name": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "space before colon": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "NUL in header": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "folded header": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "bare LF": (
        PARSER,
        {"0 body", "0 header content-length", "0 status", "1 end"},
    ),
    "bad content-length": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "negative content-length": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "two content-lengths": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "length and chunked": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type", "0 header x-length", "0 status", "1 end"},
    ),
    "unknown transfer-encoding": (
        PARSER,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "huge header": (
        HEADER_LIMIT,
        {"0 body", "0 header content-length", "0 header content-type", "0 status", "1 end"},
    ),
    "ws frame sent with handshake": (
        EARLY_FRAME,
        {"1 frame"},
    ),
    "ws deflate offered": (
        DEFLATE,
        {"0 header sec-websocket-extensions", "1 frame"},
    ),
    "ws accept headers": (
        ACCEPT_HEADERS,
        {
            "0 body",
            "0 header content-length",
            "0 header content-type",
            "0 header set-cookie",
            "0 header x-accepted",
            "0 status",
            "1 frame",
            "2 end",
        },
    ),
    "ws denied": (
        REFUSED_HANDSHAKE,
        {"0 header content-type"},
    ),
    "ws denied with response": (
        REFUSED_HANDSHAKE,
        {"0 header sec-websocket-accept", "0 header upgrade"},
    ),
    "ws http exception": (
        REFUSED_HANDSHAKE,
        {"0 header sec-websocket-accept", "0 header upgrade", "0 status"},
    ),
    "ws fail before accept": (
        REFUSED_HANDSHAKE,
        {"0 header sec-websocket-accept", "0 header upgrade"},
    ),
    "ws return before accept": (
        REFUSED_HANDSHAKE,
        {"0 header sec-websocket-accept", "0 header upgrade"},
    ),
    "ws not found": (
        REFUSED_HANDSHAKE,
        {"0 header content-type"},
    ),
    "ws on http route": (
        REFUSED_HANDSHAKE,
        {"0 header content-type"},
    ),
    "ws without key": (
        REFUSED_HANDSHAKE,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "ws of old version": (
        REFUSED_HANDSHAKE,
        {"0 body", "0 header content-length", "0 header content-type"},
    ),
    "ws by POST": (
        REFUSED_HANDSHAKE,
        {
            "0 body",
            "0 header allow",
            "0 header content-length",
            "0 header content-type",
            "0 header sec-websocket-accept",
            "0 header upgrade",
            "0 status",
        },
    ),
    "ws closed by client 1001": (
        CLOSE_REASON,
        {"3 noted"},
    ),
    "ws closed by client 4321": (
        CLOSE_REASON,
        {"3 noted"},
    ),
    "ws closed by client with bad code": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
    "ws text not utf8": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
    "ws frame not masked": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
    "ws unknown opcode": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
    "ws continuation of nothing": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
    "ws long ping": (
        BROKEN_FRAMES,
        {"1 frame", "3 noted"},
    ),
}

# The FastAPI app's, served by Granian's ASGI worker.
FASTAPI_KNOWN: dict[str, tuple[str, set[str]]] = {
    "ws without token": (
        REFUSED_HANDSHAKE,
        {"0 header content-type"},
    ),
    "ws wrong room": (
        REFUSED_HANDSHAKE,
        {"0 header content-type"},
    ),
    "ws refused by handler": (
        REFUSED_HANDSHAKE,
        {"0 header sec-websocket-accept", "0 header upgrade"},
    ),
}
