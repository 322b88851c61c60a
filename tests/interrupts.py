"""Runs that die, and what must be the same of two runs."""


def trajectory(outcomes):
    """Everything of a run that must not depend on how often it was interrupted."""
    rows = []
    for o in outcomes:
        told = (o.status, o.visit, o.proposal_id, o.started, o.finished, o.message)
        rows.append((*map(int, o.site), *told, o.curve and o.curve.current.tobytes()))
    return rows


class Interrupted(Exception):
    """Stands for a process that dies."""


class DiesAfter:
    """A journal that dies just before or just after its k-th commit of a kind."""

    def __init__(self, journal, method, k, after):
        self._journal, self._method, self._left, self._after = journal, method, k, after

    def __getattr__(self, name):
        inner = getattr(self._journal, name)
        if name == "record_event" or name != self._method:
            return inner

        def dying(*args, **kwargs):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Interrupted
            inner(*args, **kwargs)
            if self._left == 0:
                raise Interrupted

        return dying


class Stateless:
    """A microscope whose state cannot be stored, as no real one's can."""

    unsupported = frozenset(("state", "restore"))

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        if name in self.unsupported or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)
