"""A tiny program to supervise: `python stub_program.py KIND ...`, with the manners that its kind says."""

import os
import signal
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

from services.runtime.parent import die_with_parent


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve_grpc(port: str, warm_up_seconds: float = 0.0) -> None:
    # Here, so that the stubs that need no gRPC start fast.
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    status = health_pb2.HealthCheckResponse
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    servicer = health.HealthServicer()
    servicer.set("", status.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    time.sleep(warm_up_seconds)
    servicer.set("", status.SERVING)
    tell("stub serves")
    # A server that nobody holds on to is shut down.
    server.wait_for_termination()


def serve_http(port: str) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status": "ok"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()


def note_stop(path: str, name: str) -> None:
    def stop(*_: object) -> None:
        with Path(path).open("a") as notes:
            notes.write(f"{name}\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)


def main() -> None:
    die_with_parent()
    kind, *rest = sys.argv[1:]
    if kind == "serve":
        note_stop(rest[1], rest[2])
        serve_grpc(rest[0], warm_up_seconds=0.1)
    elif kind == "front":
        note_stop(rest[1], rest[2])
        serve_http(rest[0])
    elif kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serve_grpc(rest[0])
    elif kind == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        tell(f"grandchild {child.pid}")
        serve_grpc(rest[0])
    elif kind == "garbage":
        os.write(1, b"\xff\xfe\x1b[31m\n" + b"x" * 300_000 + b"\nno end")
        serve_grpc(rest[0])
    elif kind == "crash":
        tell("the reason why")
        sys.exit(int(rest[0]))
    time.sleep(600)


if __name__ == "__main__":
    main()
