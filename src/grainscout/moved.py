"""Old places of public modules; importing one gives the module at its new place."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Old module -> new module.
MOVED = {
    "grainscout.analysis.archetypes": "grainscout.analysis.curves.archetypes",
    "grainscout.analysis.characterisation": "grainscout.analysis.curves.characterisation",
    "grainscout.analysis.descriptors": "grainscout.analysis.curves.descriptors",
    "grainscout.analysis.forc": "grainscout.analysis.curves.forc",
    "grainscout.benchmarks.regress": "grainscout.benchmarks.regression",
    "grainscout.hardware.link": "grainscout.hardware.remote",
    "grainscout.simulator.blend": "grainscout.simulator.film.blend",
    "grainscout.simulator.fit": "grainscout.simulator.transport.fit",
    "grainscout.simulator.realism": "grainscout.simulator.verification.realism",
    "grainscout.simulator.spec": "grainscout.simulator.film.spec",
    "grainscout.simulator.structure": "grainscout.microstructure.structure",
    "grainscout.simulator.verify": "grainscout.simulator.verification.transport",
    "grainscout.simulator.verify_film": "grainscout.simulator.verification.film",
}

#: Module that is gone -> what took its place.
GONE = {
    "grainscout.microstructure.detector": "the structure reader, grainscout.microstructure.reader",
    "grainscout.benchmarks.detector": "grainscout.benchmarks.reader.train",
    "grainscout.benchmarks.train_detector": "grainscout.benchmarks.reader.train",
}


class MovedModules(MetaPathFinder, Loader):
    """Finds a module by its old name and gives the one at the new place, the same object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an old name; None for every other module. ModuleNotFoundError if it is gone."""
        if fullname in GONE:
            raise ModuleNotFoundError(
                f"{fullname} is gone: use {GONE[fullname]}. See docs/manual/reader.md",
                name=fullname,
            )
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module at the new place."""
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back: the import system wrote the old name's into it."""
        old = module.__spec__
        if old is not None and old.loader is self:
            module.__spec__ = old.loader_state


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)


def callable_module(name: str) -> None:
    """Let a call of that module be a call of its function of the same name."""
    sys.modules[name].__class__ = _CallableModule


def install() -> None:
    """Let old names be found; a second call does nothing."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
