"""Tests of upstream's that fail through RSGI, by name without parameters, each with its reason."""

TRAILERS = "RSGI has no response trailers"
DEBUG = "RSGI has no way for the http.response.debug extension, which only test clients have"
DENIAL = "RSGI refuses a WebSocket with a status only: no headers, no body"
SUBPROTOCOL = "RSGI's accept takes no subprotocol"
ACCEPT_HEADERS = "RSGI's accept takes no headers"
CLOSE_CODE = "RSGI does not tell the app the client's close code"
REFUSED = "a close before accept is an HTTP 403, which has no close code"
LOCKSTEP = "RSGI's streams do not wait for their reader; freelane paces them by the client's socket"

STARLETTE = {
    "middleware.test_gzip::test_gzip_trailers": TRAILERS,
    "middleware.test_gzip::test_gzip_excluded_content_type_trailers": TRAILERS,
    "test_applications::test_websocket_raise_http_exception": DENIAL,
    "test_endpoints::test_websocket_endpoint_on_connect": SUBPROTOCOL,
    "test_endpoints::test_websocket_endpoint_on_disconnect": CLOSE_CODE,
    "test_requests::test_request_raw_path": "RSGI passes on the decoded path only",
    "test_requests::test_request_send_push_promise": "RSGI has no server push; the server refuses the message",
    "test_routing::test_websocket_route_middleware": ACCEPT_HEADERS,
    "test_templates::test_templates": DEBUG,
    "test_templates::test_calls_context_processors": DEBUG,
    "test_templates::test_template_with_middleware": DEBUG,
    "test_templates::test_templates_with_directories": DEBUG,
    "test_templates::test_templates_with_environment": DEBUG,
    "test_testclient::test_streaming_response_applies_backpressure": LOCKSTEP,
    "test_testclient::test_streaming_response_skips_empty_and_head_bodies": LOCKSTEP,
    "test_testclient::test_closing_unfinished_response_cancels_application": TRAILERS,
    "test_testclient::test_closing_completed_trailers_waits_for_application": TRAILERS,
    "test_testclient::test_debug_info_in_response_extensions": DEBUG,
    "test_testclient::test_debug_info_in_response_extensions_with_template": DEBUG,
    "test_testclient::test_invalid_trailer_sequence": TRAILERS,
    "test_testclient::test_capture_trailers": TRAILERS,
    "test_testclient::test_incomplete_trailers": TRAILERS,
    "test_testclient::test_trailer_error_respects_raise_server_exceptions": TRAILERS,
    "test_websockets::test_client_close": CLOSE_CODE,
    "test_websockets::test_rejected_connection": REFUSED,
    "test_websockets::test_send_denial_response": DENIAL,
    "test_websockets::test_send_denial_response_with_streaming_response": DENIAL,
    "test_websockets::test_send_denial_response_with_file_response": DENIAL,
    "test_websockets::test_send_response_multi": DENIAL,
    "test_websockets::test_send_response_unsupported": DENIAL,
    "test_websockets::test_send_response_duplicate_start": DENIAL,
    "test_websockets::test_subprotocol": SUBPROTOCOL,
    "test_websockets::test_additional_headers": ACCEPT_HEADERS,
    "test_websockets::test_websocket_close_reason": "RSGI's close takes no reason",
    "test_websockets::test_receive_wrong_message_type": "an RSGI client cannot send a message of a wrong type",
}


FASTAPI = {
    "test_security_websockets::test_security_websocket": DENIAL,
    "test_telemetry.test_websockets::test_client_disconnect": CLOSE_CODE,
    "test_telemetry.test_websockets::test_handled_websocket_exception": REFUSED,
    "test_telemetry.test_websockets::test_validation_data": REFUSED,
    "test_ws_router::test_depend_err_handler": REFUSED,
    "test_ws_router::test_depend_err_middleware": REFUSED,
    "test_ws_router::test_depend_validation": REFUSED,
}
