"""The live page of a run: a server on this computer that reads the journal while it is written.

The page never touches the run.  It opens the journal for reading, for milliseconds and only when
the file has changed, and what a person asks goes through ``Journal.request`` like any other wish.
The policy's maps come from a copy of the policy in a process of its own (`_thinking`).

    _reading   the journal's new rows -> a Snapshot      _facts   what a person must know first
    _figures   Snapshot -> SVG                           _page    Snapshot -> the page's parts
    _server    who may see it, and what may be asked

``serve`` imports the web server (extra ``watch``) when it is called; nothing else needs it.
"""

from __future__ import annotations

from grainscout.watch.journal_reader import Reader, Snapshot

__all__ = ["Reader", "Snapshot"]
