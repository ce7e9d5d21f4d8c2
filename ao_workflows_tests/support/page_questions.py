"""Everything that can be asked of Dagster's page: its GraphQL schema, walked from each of its queries.

What belongs here: making the questions, and asking them. What does not: what is looked for in the answers.

A question is made for each query. Of what is near the query, or of configuration, it asks for every field; of the ways
that lead further on, each is taken once, from the query that it is nearest to. So what a later Dagster adds is
asked for too, and what needs an argument that nobody has thought of ends in a ``LookupError``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from inspect import isawaitable
from typing import Any

from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_graphql.schema import create_schema
from graphql import (
    ExecutionResult,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    execute,
    parse,
)

NEAR = 2
DEEPEST = 12
OF_CONFIGURATION = ("ConfigTypeField", "Mode", "Resource", "ResourceDetails", "RunConfigSchema")
"""The types that show one, and are asked for all that they have in each query that leads to them."""

Selection = dict[str, dict[str, tuple[GraphQLField, "Selection | None"]]]
"""What is asked for, by the type that has it and the field's name, with what is asked for below the field."""


class Word(str):
    """A value of an enumeration, which GraphQL writes without quotes."""

    __slots__ = ()


def page_schema() -> GraphQLSchema:
    """The schema, in which any field may be empty: an answer that fails in one field has all others."""
    schema: GraphQLSchema = create_schema().graphql_schema
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field in kind.fields.values():
                field.type = _may_be_empty(field.type)
    return schema


def questions(schema: GraphQLSchema, given: Mapping[str, object]) -> dict[str, str]:
    """The question for each query, by the query's name.

    :param given: what the arguments are, by their names. An argument that may be left out is given only where it is
        here as ``Type.field.argument``, with ``Query`` for a query.
    """
    assert schema.query_type
    fields = schema.query_type.fields
    asked: dict[str, Selection] = {name: {} for name in fields}
    level: list[tuple[str, Any, Selection]] = [(name, _named(its.type), asked[name]) for name, its in fields.items()]
    taken: set[tuple[str, str, str]] = set()
    for depth in range(DEEPEST):
        below = []
        for query, kind, into in level:
            for owner, name, field in _ways(schema, kind):
                leads_to = _named(field.type)
                way = (query if depth < NEAR or owner in OF_CONFIGURATION else "", owner, name)
                if not _ways_from(leads_to):
                    into.setdefault(owner, {})[name] = (field, None)
                elif way not in taken:
                    taken |= {way, ("", owner, name)}
                    selection: Selection = {}
                    into.setdefault(owner, {})[name] = (field, selection)
                    below.append((query, leads_to, selection))
        level = below
    return {
        name: f"{{ {_call('Query', name, its, given)} {_text(asked[name], given)} }}" for name, its in fields.items()
    }


def answer(page: WorkspaceProcessContext, schema: GraphQLSchema, question: str) -> tuple[Any, str]:
    """The page's answer, and all of its text: the errors too."""

    async def ask() -> ExecutionResult:
        # The question is not checked first, which takes longer than the answer
        found = execute(schema, parse(question, no_location=True), context_value=page.create_request_context())
        return await found if isawaitable(found) else found

    found = asyncio.run(ask())
    errors = [f"{error} {error.original_error!r}" for error in found.errors or ()]
    return found.data, json.dumps([found.data, errors], default=str)


def _may_be_empty(kind: Any) -> Any:
    if isinstance(kind, GraphQLNonNull):
        return _may_be_empty(kind.of_type)
    return GraphQLList(_may_be_empty(kind.of_type)) if isinstance(kind, GraphQLList) else kind


def _named(kind: Any) -> Any:
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = kind.of_type
    return kind


def _ways_from(kind: Any) -> bool:
    return isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)


def _ways(schema: GraphQLSchema, kind: Any) -> Iterator[tuple[str, str, GraphQLField]]:
    """Each field of each type that something of this kind may be."""
    if _ways_from(kind):
        for one in [kind] if isinstance(kind, GraphQLObjectType) else schema.get_possible_types(kind):
            for name, field in one.fields.items():
                yield one.name, name, field


def _call(owner: str, name: str, field: GraphQLField, given: Mapping[str, object]) -> str:
    words = []
    for argument, its in field.args.items():
        key = f"{owner}.{name}.{argument}"
        needed = isinstance(its.type, GraphQLNonNull)
        if key in given or (needed and argument in given):
            words.append(f"{argument}: {_value(given.get(key, given.get(argument)))}")
        elif needed:
            raise LookupError(f"{key} is needed, a {its.type}")
    return f"{name}({', '.join(words)})" if words else name


def _text(selection: Selection, given: Mapping[str, object]) -> str:
    if not selection:
        return ""
    parts = ["__typename"]
    for owner, fields in selection.items():
        # Two types may have fields of one name that are of different types: each has a name of its own in the answer
        inner = [
            f"{owner}_{name}: {_call(owner, name, field, given)} {'' if below is None else _text(below, given)}"
            for name, (field, below) in fields.items()
            if below is None or below
        ]
        parts.append(f"... on {owner} {{ {' '.join(['__typename', *inner])} }}")
    return f"{{ {' '.join(parts)} }}"


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return value if isinstance(value, Word) else json.dumps(value)
