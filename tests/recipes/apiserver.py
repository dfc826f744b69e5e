"""Stands in for kube-apiserver with --anonymous-auth=false: answers /readyz to clients with a certificate of its CA.

usage: apiserver.py PKI     the directory of ca.crt, apiserver.crt and apiserver.key
/run/unready names the part that is not well, if there is one; /run/apiserver.pid has the number of the process.
"""

import http.server
import json
import os
import pathlib
import ssl
import sys

PARTS = ["ping", "log", "etcd", "informer-sync", "poststarthook/start-apiextensions-controllers", "shutdown"]


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if not self.connection.getpeercert():
            self.status(401, "Unauthorized", "Unauthorized")
        elif path != "/readyz":
            self.status(403, "Forbidden", f'forbidden: User "havipd" cannot get path "{path}"')
        else:
            self.readyz("verbose" in query)

    def readyz(self, verbose):
        unready = pathlib.Path("/run/unready")
        bad = unready.read_text().strip() if unready.exists() else None
        parts = "".join(f"[-]{p} failed: reason withheld\n" if p == bad else f"[+]{p} ok\n" for p in PARTS)
        if bad:
            self.answer(500, "text/plain; charset=utf-8", f"{parts}readyz check failed\n")
        else:
            self.answer(200, "text/plain; charset=utf-8", f"{parts}readyz check passed\n" if verbose else "ok")

    def status(self, code, reason, message):
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.answer(code, "application/json", json.dumps(body | {"message": message, "reason": reason, "code": code}))

    def answer(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


class Server(http.server.ThreadingHTTPServer):
    # A client that says nothing keeps nobody else waiting: its handshake is its own thread's.
    def finish_request(self, request, client_address):
        request.settimeout(10)
        with TLS.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)


pathlib.Path("/run/apiserver.pid").write_text(f"{os.getpid()}\n")
pki = pathlib.Path(sys.argv[1])
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
TLS.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
TLS.load_verify_locations(pki / "ca.crt")
TLS.verify_mode = ssl.CERT_OPTIONAL
Server(("0.0.0.0", 6443), Api).serve_forever()
