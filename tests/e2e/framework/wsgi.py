"""A WSGI application on wsgiref (HTTP/1.0, one connection for each request): python3 wsgi.py PORT VERSION."""

import json
import os
import sys
import threading
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

PORT, VERSION = int(sys.argv[1]), sys.argv[2]


def app(environ, start_response):
    version = ("X-App-Version", VERSION)
    if environ["PATH_INFO"] == "/large":
        count = int(parse_qs(environ["QUERY_STRING"])["n"][0])
        start_response("200 OK", [("Content-Type", "text/plain"), version])
        return (b"x" * min(65536, count - at) for at in range(0, count, 65536))
    left, total, size = int(environ.get("CONTENT_LENGTH") or 0), 0, 0
    while left > 0:
        part = environ["wsgi.input"].read(min(left, 65536))
        if not part:
            break
        left, total, size = left - len(part), total + sum(part), size + len(part)
    answer = {"version": VERSION, "method": environ["REQUEST_METHOD"], "bytes": size, "sum": total}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body))), version])
    return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
make_server("127.0.0.1", PORT, app, Server, Quiet).serve_forever()
