"""Sending a page without working out what is not sent.

Bokeh sends the properties of a model that were set, and works out the defaults of all others only to leave them out.
That is most of what it takes to send a page of five hundred models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.property.wrappers import PropertyValueContainer

_with_defaults = HasProps.query_properties_with_values


def install() -> None:
    HasProps.query_properties_with_values = values_that_were_set


def values_that_were_set(
    self: HasProps, query: Callable[[Any], bool], *, include_defaults: bool = True, include_undefined: bool = False
) -> dict[str, Any]:
    """As the method of Bokeh that it stands in for, which asks for the value first and whether it is wanted second."""
    if include_defaults or include_undefined:
        return _with_defaults(self, query, include_defaults=include_defaults, include_undefined=include_undefined)
    # A container that nobody changed is a default as well.
    made = {name for name, value in self._unstable_default_values.items() if isinstance(value, PropertyValueContainer)}
    chosen = {*self._property_values, *self._unstable_default_values} - made | set(self.themed_values() or ())
    wanted = {name: self.lookup(name) for name in self.properties(_with_props=True) if name in chosen}
    return {name: descriptor.get_value(self) for name, descriptor in wanted.items() if query(descriptor)}
