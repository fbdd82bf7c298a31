"""The dynamic part of a web site: asks the database by name for what it serves.

    gateway.py HOST
"""

import http.server
import subprocess
import sys


class Gateway(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = ["psql", "-h", sys.argv[1], "-U", "postgres", "-At", "-c", "select 'goods ' || count(*) from goods"]
        done = subprocess.run(query, capture_output=True)
        self.send_response(200 if done.returncode == 0 else 502)
        self.end_headers()
        self.wfile.write(done.stdout + done.stderr)

    def log_message(self, *words):
        pass


http.server.HTTPServer(("127.0.0.1", 8000), Gateway).serve_forever()
