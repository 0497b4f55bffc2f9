"""YAML as experiments are written: mappings, lists and plain values, bounded, with YAML 1.2's numbers and words.

PyYAML reads YAML 1.1, where `yes` is true, `1:30` is 90, `010` is 8 and a date is an object. Here a plain value is
null, true, false, a decimal number, or else text.
"""

import re
from typing import Any

import yaml

from cifake_ray.console import printable, shortened
from cifake_ray.errors import InputError

MOST_BYTES = 1_000_000
_DEEPEST = 50  # levels of nesting
_MOST_VALUES = 20_000  # with every alias written out: nine levels of nine aliases are 387 million
_BASE = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")
_PLAIN = {  # YAML 1.2's core schema, section 10.3.2, without octal and hexadecimal numbers; what begins each
    "null": (r"null|Null|NULL|~|", "nN~"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9]\d{0,17})", "-+0123456789"),
    "float": (
        r"[-+]?(\.\d+|\d+\.\d*|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    """A loader by the rules of this module; a repeated key is an error, merge keys (`<<`) are read."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's way, as below)
    yaml_constructors = {  # noqa: RUF012
        tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if str(tag).removeprefix(_BASE) in (*_KINDS, "None")
    }  # fmt: skip
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {_DEEPEST} levels", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == f"{_BASE}merge":
                continue
            shown = shortened(key.value, 80) if isinstance(key, yaml.ScalarNode) else f"({key.id})"
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_BASE}str":
                raise yaml.composer.ComposerError(None, None, f"the key {shown} is no text", key.start_mark)
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"the key '{shown}' is given twice", key.start_mark)
            seen.add(key.value)
        return node

    def refuse_tag(self, node: yaml.Node) -> Any:
        tag = node.tag.replace(_BASE, "!!")
        what = f"a value with the tag {tag} is not read; write plain text or a number"
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.removeprefix(_BASE)
        # a tag that is written, as in `!!int 1:30`, makes no other value of the text than YAML 1.2 does
        if isinstance(node, yaml.ScalarNode) and kind in _PLAIN and not _reads_as(kind, node.value):
            what = shortened(f"{node.value!r} is no {kind}", 80)
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        return super().construct_object(node, deep=deep)


def _reads_as(kind: str, text: str) -> bool:
    """Whether a plain value of this kind is written so; a whole number is a float too."""
    kinds = ("int", "float") if kind == "float" else (kind,)
    return any(re.fullmatch(_PLAIN[one][0], text) for one in kinds)


_Loader.yaml_constructors[None] = _Loader.refuse_tag
for _kind, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_BASE + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver(f"{_BASE}null", re.compile("^$"), [""])
_Loader.add_implicit_resolver(f"{_BASE}merge", re.compile(r"^<<$"), ["<"])


def parse_yaml(text: str, where: str) -> Any:
    """The YAML value in `text`: maps with text keys, lists, text, numbers, true, false, null.

    Raises InputError (one line) naming `where` and the line: no YAML, too large, too deep, too many aliases.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{where}: {len(text):,} characters are no experiment (at most {MOST_BYTES:,})")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, where)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        cure = "indent with spaces, not tabs" if r"'\t'" in str(error.problem) else ""
        raise _invalid(f"{where}{line}", str(error.problem), cure) from error
    except yaml.reader.ReaderError as error:
        line = f", line {text.count(chr(10), 0, error.position) + 1}"
        raise _invalid(f"{where}{line}", f"a character that YAML does not allow, {error.character:#04x}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _invalid(where, str(error)) from error


def _invalid(where: str, problem: str, cure: str = "") -> InputError:
    return InputError(f"{where}: not valid YAML: {shortened(printable(' '.join(problem.split())), 200)}", cure)


def _check_size(root: yaml.Node, where: str) -> None:
    """Raise InputError when the value, with every alias written out, is too large or contains itself."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size(node: yaml.Node) -> int:
        if not isinstance(node.value, list):
            return 1
        if id(node) in open_:
            raise InputError(f"{where}, line {node.start_mark.line + 1}: not valid YAML: a value contains itself")
        if id(node) not in sizes:
            open_.add(id(node))
            children = [child for one in node.value for child in (one if isinstance(one, tuple) else (one,))]
            sizes[id(node)] = 1 + sum(map(size, children))
            open_.discard(id(node))
        return sizes[id(node)]

    if size(root) > _MOST_VALUES:
        raise InputError(f"{where}: more than {_MOST_VALUES:,} values, aliases written out", "write fewer")
