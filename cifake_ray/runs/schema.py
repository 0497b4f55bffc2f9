"""JSON schemas of experiment.yaml and of the records of a run, for editors and other programs.

    python -m cifake_ray.runs.schema [FOLDER]

writes docs/schema/. What pydantic cannot know is added: which spellings a validator accepts beside the type.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from cifake_ray.experiment import Experiment
from cifake_ray.runs.records import RECORDS

FOLDER = Path("docs/schema")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SCALAR: JsonSchemaValue = {"type": ["boolean", "number", "string"]}
# What a validator that runs before the type's own accepts beside the type, by the validator's name.
_ALSO: dict[str, JsonSchemaValue] = {
    "split_plus": {"type": "string"},  # mean+std
    "_one_or_several": {"type": "string"},  # 64+32
    "join_plus": {"type": "array", "items": _SCALAR},  # a choice that is a list
    "_listed": _SCALAR,  # one value of `when`
    "_by_column": {"type": ["array", "string"], "items": {"type": "string"}},  # subjects
    "_as_text": {"type": ["string", "integer"]},  # one name without a list
}


class _Generator(GenerateJsonSchema):
    """Pydantic's schemas with the spellings of _ALSO, without a title for each key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        also = _ALSO.get(getattr(schema["function"]["function"], "__name__", ""))
        return {"anyOf": [inner, also]} if also else inner

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default that is a number, a text or a truth value is named; NaN is none, and an object is not repeated."""
        inner = self.generate_inner(schema["schema"])
        default = schema.get("default")
        if isinstance(default, bool | int | str) or (isinstance(default, float) and default == default):
            return {**inner, "default": default} if "$ref" not in inner else inner
        return inner

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": _DRAFT, **super().generate(schema, mode)}


def schema_of(kind: type[BaseModel]) -> JsonSchemaValue:
    """The JSON schema of a record or of an experiment."""
    return kind.model_json_schema(by_alias=True, schema_generator=_Generator)


def experiment_schema() -> JsonSchemaValue:
    """The JSON schema of experiment.yaml: a backbone's `stages` and the images may be left out or empty."""
    schema = schema_of(Experiment)
    definitions = schema["$defs"]
    for name in ("BackboneModel", "TorchvisionBackbone"):
        definitions[name].pop("required", None)
    source = definitions["Data"]["properties"]["source"]
    source["type"] = [source["type"], "null"]
    return schema


def schemas() -> dict[str, JsonSchemaValue]:
    """Every schema by the name of its file."""
    return {"experiment.json": experiment_schema()} | {name: schema_of(kind) for name, kind in RECORDS.items()}


def write_schemas(folder: Path = FOLDER) -> None:
    """Write every schema into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / name).write_text(schema_text(schema))


def schema_text(schema: JsonSchemaValue) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_schemas(*map(Path, sys.argv[1:2]))
