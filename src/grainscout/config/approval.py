"""Approval of an experiment by a person, who saw it flown on its twin."""

import getpass
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from grainscout.config.run import RunConfig, load_run, run_document
from grainscout.records import ConfigError, regular


def approve(path: Path, settings: RunConfig) -> Path:
    """Write beside an experiment file that this very experiment is approved."""
    note = _note(path)
    content = {
        "digest": _digest(settings),
        "by": getpass.getuser(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    note.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return note


def load_approved(path: Path) -> RunConfig:
    """Read an experiment that a person approved as it is now. ConfigError for any other."""
    settings, note = load_run(path), _note(path)
    try:
        found = json.loads(regular(note, ConfigError).read_text("utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        found = "none"
    if found != _digest(settings):
        raise ConfigError(
            f"{path} must be approved as it is now; {note.name} "
            f"{'is missing' if found == 'none' else 'is of another version'}. Look at it with: "
            f"grainscout approve {path}"
        )
    return settings


def _note(path: Path) -> Path:
    return path.with_suffix(".approved.json")


def _digest(settings: RunConfig) -> str:
    document = json.dumps(run_document(settings), sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()
