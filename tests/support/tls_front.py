"""TLS before a real broker: the embedded server is built without it."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hive.clock import SystemClock


def certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = dt.datetime.fromtimestamp(SystemClock().wall_ms() / 1000, dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "broker.pem", directory / "broker.key"
    certificate_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate_path, key_path


class TlsFront:
    """Takes TLS on a port of its own and passes what it carries to a broker; a context.

    Args:
        port: the broker's, on 127.0.0.1.
        directory: for the certificate.
    """

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.certificate, key = certificate(directory)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.accepted = 0

    @property
    def url(self) -> str:
        """Address of database 0, with the certificate that is to be trusted."""
        port = self._listener.getsockname()[1]
        return f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={self.certificate}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError), closing(self._context.wrap_socket(raw, server_side=True)) as client:
            self.accepted += 1
            client.settimeout(0.02)
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                # One thread for both directions: a TLS connection cannot be read and written by two at once.
                server.settimeout(0.02)
                while _passed(client, server) and _passed(server, client):
                    continue


def _passed(source: socket.socket, target: socket.socket) -> bool:
    """Pass on what has come; false at the end."""
    try:
        data = source.recv(65_536)
    except TimeoutError:
        return True
    target.sendall(data)
    return bool(data)
