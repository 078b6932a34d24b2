#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Serves pages on the loopback address: /1000 is a page of 1000 bytes. Prints HOST:PORT first."""

import http.server
import sys


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        if not name.isdigit():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", name)
        self.end_headers()
        self.wfile.write(b"x" * int(name))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print("%s:%d" % server.server_address, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
