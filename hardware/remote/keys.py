"""CURVE key pairs in files that only their owner can read."""

import ipaddress
import os
import stat
import tempfile
from pathlib import Path
from types import ModuleType

from grainscout.records import ConfigError, regular

_SECRET = 0o600


def zmq_module() -> ModuleType:
    """Import pyzmq with CURVE. ConfigError says how to install it."""
    try:
        import zmq
        import zmq.auth
        import zmq.utils.z85
    except ImportError as error:
        raise ConfigError(
            "remote policies need the package pyzmq: pip install -e '.[link]' in the checkout"
        ) from error
    if not zmq.has("curve"):
        raise ConfigError("remote policies need a pyzmq built with CURVE (libsodium)")
    return zmq


def generate_keys(folder: Path | str, *, clients: tuple[str, ...] = ("microscope",)) -> Path:
    """Make a server's key pair and one for each client.

    ``folder/server/`` holds ``server.key_secret`` and ``allowed/<client>.key``. It stays on the policy
    server. ``folder/<client>/`` holds ``client.key_secret`` and ``server.key``. Carry it to that client's
    machine by a way you trust, and delete it here. Secret files are readable by their owner alone (on
    Windows: by whoever can read the folder).

    Parameters
    ----------
    folder : Path or str
        New or empty folder.
    clients : tuple of str
        Names of the clients.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If the folder holds anything: no key is ever overwritten.
    """
    zmq = zmq_module()
    target = Path(folder)
    plain = all(c.isidentifier() and c not in ("server", "allowed") for c in clients)
    if not clients or not plain or len(set(clients)) != len(clients):
        raise ConfigError(
            f"clients must be different plain names; got {', '.join(clients) or 'none'}"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"keys folder must be new or empty; got {target}")
    target.mkdir(parents=True, exist_ok=True)
    # A folder that nobody else can enter, so that a secret is never readable, not even for a moment.
    with tempfile.TemporaryDirectory(dir=target) as safe:
        server_public, server_secret = zmq.auth.create_certificates(safe, "server")
        allowed = target / "server" / "allowed"
        allowed.mkdir(parents=True)
        _place(server_secret, target / "server" / "server.key_secret")
        public_text = regular(server_public).read_bytes()
        for name in clients:
            public, secret = zmq.auth.create_certificates(safe, name)
            (target / name).mkdir()
            _place(secret, target / name / "client.key_secret")
            (target / name / "server.key").write_bytes(public_text)
            (allowed / f"{name}.key").write_bytes(regular(public).read_bytes())
    return target


def _place(source: str, target: Path) -> None:
    os.chmod(source, _SECRET)
    Path(source).replace(target)


def load_secret(path: Path) -> tuple[bytes, bytes]:
    """Read (public, secret). ConfigError for a file missing, damaged or open to others."""
    zmq = zmq_module()
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{path} must be readable by its owner alone; its mode is {stat.filemode(mode)}. Make "
                "new keys if others could have read it, or chmod 600"
            )
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} must be a readable secret key file; got {error}") from error
    if secret is None:
        raise ConfigError(f"{path} must hold a secret key; it holds a public key only")
    return public, secret


def load_public(path: Path) -> bytes:
    """Read the public key of a file. ConfigError if missing or damaged."""
    zmq = zmq_module()
    try:
        public: bytes = zmq.auth.load_certificate(path)[0]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} must be a readable key file; got {error}") from error
    return public


def allowed_keys(folder: Path) -> dict[bytes, str]:
    """Map the public keys of admitted clients to names. ConfigError for none."""
    keys = {load_public(path): path.stem for path in sorted((folder / "allowed").glob("*.key"))}
    if not keys:
        raise ConfigError(
            f"{folder / 'allowed'} must hold the public key of at least one client; got none"
        )
    return keys


def is_loopback(address: str) -> bool:
    """Tell if an address can be reached from this machine only."""
    if not address.startswith("tcp://"):
        return address.startswith(("inproc://", "ipc://"))
    host = address.removeprefix("tcp://").rsplit(":", 1)[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
