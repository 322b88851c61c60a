"""Recipes: policies put together from parts, made from options."""

import dataclasses
from inspect import Parameter, Signature
from typing import Any

from grainscout.policies.model_policy import ModelPolicy
from grainscout.policies.parts.roles import Part, part_options
from grainscout.records import ConfigError


class Recipe:
    """A maker of model policies, whose options are the fields of its parts.

    It is called with options, as a class would be, and can be registered under a name in the same
    way (entry point group ``grainscout.policies``). `title` names the policy in states and
    messages, and the first line of `about` in lists. `never` are former options that did nothing in
    this policy, and `uses_budget` says that its first sites depend on the length of the run. Further
    fields are parts and other fields of :class:`ModelPolicy`, with the defaults of the options.
    """

    def __init__(
        self,
        title: str,
        about: str,
        *,
        never: tuple[str, ...] = (),
        uses_budget: bool = False,
        **fields: Any,
    ) -> None:
        self.title, self.never, self.fields = title, never, fields
        self.uses_budget = uses_budget
        self.__doc__ = about
        plain = ModelPolicy(**fields)
        parts = [p for p in vars(plain).values() if isinstance(p, Part)]
        #: Classes whose docstrings describe the options, base classes first.
        self.sources = [c for part in (plain, *parts) for c in reversed(type(part).__mro__)]
        options = plain._options()
        self.__signature__ = Signature(
            [Parameter(name, Parameter.KEYWORD_ONLY, default=v) for name, v in options.items()]
        )

    def __call__(self, **options: Any) -> ModelPolicy:
        """The policy with these options."""
        unknown = [name for name in options if name not in self.__signature__.parameters]
        if unknown:
            raise ConfigError(f"{self.title} has no option {unknown[0]!r}")
        plain = ModelPolicy(**self.fields)
        changed: dict[str, Any] = {}
        for field in dataclasses.fields(plain):
            value = getattr(plain, field.name)
            if isinstance(value, Part) and (mine := options.keys() & part_options(value).keys()):
                given = {name: options.pop(name) for name in mine}
                changed[field.name] = dataclasses.replace(value, **given)  # type: ignore[type-var]
        return ModelPolicy(title=self.title, **{**self.fields, **changed, **options})
