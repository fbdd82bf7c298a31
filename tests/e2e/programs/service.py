"""Answers on port 8080 with the host's name, how often it was asked, and a sum over what it holds."""

import http.server
import itertools
import socket

import numpy

held = numpy.arange(4 << 20, dtype=numpy.float64).reshape(1 << 11, 1 << 11)
asked = itertools.count(1)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{socket.gethostname()} {next(asked)} {int((held @ numpy.ones(1 << 11)).sum())}\n"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("", 8080), Answer)
print("ready", flush=True)
server.serve_forever()
