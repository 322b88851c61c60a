"""Live page of a run, served from its journal.

The page never touches the run. It opens the journal for milliseconds, and only when the file has
changed. Requests of a viewer go through ``Journal.request`` like any other request. The policy's
maps come from a copy of the policy in another process.

=================  =====================================================
journal_reader     New rows of the journal to a Snapshot.
status             State, alerts and remaining budget of a Snapshot.
figures, images    Figures of a Snapshot as SVG and PNG.
explanations       Maps of the policy.
page_renderer      Snapshot to the parts of the page.
broadcaster        Newest page for all viewers, and their requests.
server             Web server, with a token for every request.
=================  =====================================================

Only ``command`` and ``server`` import the web server (extra ``watch``).
"""

from grainscout.watch.journal_reader import Reader, Snapshot

__all__ = ["Reader", "Snapshot"]
