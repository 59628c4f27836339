"""A company's network on the loopback interface: a proxy that wants a password, and a CA of its own."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import select
import socket
import ssl
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Proxy:
    """Sends all requests to one server, whatever host they name.

    Attributes:
        url: Its address, with user and password where it wants them.
        asked: What came in: method and host with port.
    """

    def __init__(self, target: int, login: str = "", status: int = 200) -> None:
        """Starts.

        Args:
            target: Port of the server.
            login: `user:password` that it wants, percent-encoded as in an address.
            status: What it answers to each request, 200 for letting it pass.
        """
        self.asked: list[str] = []
        proxy = self
        wanted = "Basic " + base64.b64encode(unquote(login).encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                if not self._may(self.path):
                    return
                with socket.create_connection(("127.0.0.1", target)) as server:
                    self.send_response(200)
                    self.end_headers()
                    self._pump(server)
                self.close_connection = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                parts = urlsplit(self.path)
                if not self._may(f"{parts.hostname}:{parts.port or 80}"):
                    return
                connection = HTTPConnection("127.0.0.1", target)
                names = ("Content-Type", "Authorization")
                headers = {name: self.headers[name] for name in names if name in self.headers}
                connection.request("POST", parts.path, body, headers)
                response = connection.getresponse()
                content = response.read()
                self.send_response(response.status)
                self.send_header("Content-Type", response.headers["Content-Type"])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _may(self, host: str) -> bool:
                proxy.asked.append(f"{self.command} {host}")
                refused = 407 if login and self.headers["Proxy-Authorization"] != wanted else status
                if refused == 200:
                    return True
                content = f"{self.headers['Proxy-Authorization']} {unquote(login)}".encode()
                self.send_response(refused)
                self.send_header("Proxy-Authenticate", "Basic")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return False

            def _pump(self, server: socket.socket) -> None:
                other = {self.connection: server, server: self.connection}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        with contextlib.suppress(OSError):
                            if data := ready.recv(65536):
                                other[ready].sendall(data)
                                continue
                        return

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{login}{'@' if login else ''}127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stops."""
        self._server.shutdown()
        self._server.server_close()


def certificates(folder: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """A company's CA, and what a server needs whose certificate is signed by it.

    Args:
        folder: For their files.
        hosts: Names and addresses of the server.

    Returns:
        The file of the CA's certificate, and the server's side of TLS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company CA")])
    now = datetime.datetime.now(datetime.timezone.utc)

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
        key_cert_sign=True,
        crl_sign=True,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]), key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca_file, server_file = folder / "company.pem", folder / "server.key"
    ca_file.write_bytes(ca.public_bytes(pem))
    server_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return ca_file, context
