"""A small application on PostgreSQL: python3 app.py PORT VERSION [bad]. What v1 keeps in the column `name`, v2 keeps in `full_name`."""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

PORT, VERSION, IS_BAD = int(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["bad"]
COLUMN = "name" if VERSION == "v1" else "full_name"
PER_THREAD = threading.local()


def query(sql, *values):
    if not hasattr(PER_THREAD, "connection"):
        PER_THREAD.connection = psycopg2.connect("")
        PER_THREAD.connection.autocommit = True
    with PER_THREAD.connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests = 0

    def do_GET(self):
        if self.path == "/up":
            return self.answer(200, "up")
        row = query(f"SELECT {COLUMN} FROM people WHERE id = %s", self.path.rpartition("/")[2])
        self.answer(200, row[0]) if row else self.answer(404, "nobody")

    def do_POST(self):
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(200, str(query(f"INSERT INTO people ({COLUMN}) VALUES (%s) RETURNING id", name)[0]))

    def answer(self, status, text):
        Handler.requests += 1
        if IS_BAD and self.path != "/up" and Handler.requests % 3 == 0:
            status, text = 500, "this version is bad"
        body = text.encode()
        self.send_response(status)
        self.send_header("X-App-Version", VERSION)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
