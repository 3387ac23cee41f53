"""Keys and certificates of one test bed, made by openssl: one CA for servers and clients, one for the front proxy."""

import os
import subprocess
from pathlib import Path

from program import Unavailable

DAYS = 30


def openssl(*arguments):
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable("found no openssl, expected the package openssl") from None
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.strip()}")


class Authority:
    """A CA in `folder`: NAME.crt and NAME.key. It makes itself on first use."""

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.certificate, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not self.certificate.exists():
            self._make(name, f"/CN=fmesh test bed {name}", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")

    def _make(self, name, subject, *extensions, signer=()):
        previous = os.umask(0o077)
        try:
            more = [word for extension in extensions for word in ("-addext", extension)]
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(DAYS),
                    "-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt"), "-subj", subject, *more, *signer)
        finally:
            os.umask(previous)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def issue(self, name, common_name, organization="", addresses=(), hosts=()):
        """A certificate for a client and, with addresses or hosts, for a server too; returns the paths (certificate, key)."""
        subject = (f"/O={organization}" if organization else "") + f"/CN={common_name}"
        extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth" + (",serverAuth" if addresses or hosts else "")]
        names = [f"IP:{address}" for address in addresses] + [f"DNS:{host}" for host in hosts]
        if names:
            extensions.append("subjectAltName=" + ",".join(names))
        return self._make(name, subject, *extensions, signer=("-CA", str(self.certificate), "-CAkey", str(self.key)))


def signing_key(path):
    """The key that signs ServiceAccount tokens."""
    previous = os.umask(0o077)
    try:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    finally:
        os.umask(previous)
    return path
