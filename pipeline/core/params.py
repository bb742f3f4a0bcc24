"""Strict, typed parameters: keyword-only arguments and frozen dataclasses are the configuration schema.

`params_of(function)` and `params_of(dataclass)` read names, types and defaults; `check` turns a TOML table into
arguments or raises RecipeError that says where the mistake is, and what would be right. Known types: int, float,
str, bool, `list[...]`/`tuple[..., ...]` of them, `dict[str, ...]`, `X | None` and `Literal[...]`.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from pipeline.core.errors import RecipeError, did_you_mean

_MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Param:
    """One parameter: its name, its type as Python writes it, its default (`inspect.Parameter.empty`: required)."""

    name: str
    type: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is _MISSING


def params_of(owner: Callable[..., Any] | type) -> dict[str, Param]:
    """Keyword-only parameters of a function, or the fields of a dataclass."""
    if isinstance(owner, type) and dataclasses.is_dataclass(owner):
        hints = typing.get_type_hints(owner)
        return {f.name: Param(f.name, hints[f.name], _field_default(f)) for f in dataclasses.fields(owner)}
    hints = typing.get_type_hints(owner)
    return {
        p.name: Param(p.name, hints.get(p.name, str), p.default)
        for p in inspect.signature(owner).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _field_default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _MISSING


def check(where: str, given: Mapping[str, Any], schema: Mapping[str, Param]) -> dict[str, Any]:
    """All parameters with their values, defaults filled in.

    Args:
        where: how the user finds the table, for example "recipe.toml: curate.minhash".
        given: the table as read from TOML.
        schema: what it may hold.

    Raises: RecipeError for an unknown name, a wrong type, or a required parameter that is missing.
    """
    for name in given:
        if name not in schema:
            takes = ", ".join(sorted(schema)) or "nothing"
            raise RecipeError(f"{where}: no parameter '{name}'.{did_you_mean(name, schema)} It takes: {takes}.")
    values: dict[str, Any] = {}
    for name, param in schema.items():
        if name in given:
            values[name] = coerce(f"{where}.{name}" if where else name, given[name], param.type)
        elif param.required:
            raise RecipeError(f"{where}: '{name}' is required ({type_name(param.type)}).")
        else:
            values[name] = param.default
    return values


def coerce(where: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`; an int where a float is asked for becomes a float, nothing else is converted."""
    origin = typing.get_origin(kind)
    ok = True
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        options = [k for k in typing.get_args(kind) if k is not type(None)]
        if value is None:
            return None
        for option in options[:-1]:
            try:
                return coerce(where, value, option)
            except RecipeError:
                continue
        return coerce(where, value, options[-1])
    if origin is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            hint = did_you_mean(str(value), map(str, choices))
            raise RecipeError(f"{where}: {value!r} is not one of {', '.join(map(repr, choices))}.{hint}")
        return value
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise RecipeError(f"{where}: expected {type_name(kind)}, got {value!r}.")
        inner = typing.get_args(kind)[0]
        items = [coerce(f"{where}[{i}]", v, inner) for i, v in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if origin is dict:
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where}: expected {type_name(kind)}, got {value!r}.")
        inner = typing.get_args(kind)[1]
        return {str(k): coerce(f"{where}.{k}", v, inner) for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    ok = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not ok:
        raise RecipeError(f"{where}: expected {type_name(kind)}, got {value!r}.")
    return value


def type_name(kind: Any) -> str:
    """How an error message calls a type."""
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if kind in names:
        return names[kind]
    origin = typing.get_origin(kind)
    if origin in (list, tuple):
        return f"a list, each {type_name(typing.get_args(kind)[0])}"
    if origin is dict:
        return f"a table, each {type_name(typing.get_args(kind)[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(k) for k in typing.get_args(kind) if k is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(kind)))
    return getattr(kind, "__name__", str(kind))
