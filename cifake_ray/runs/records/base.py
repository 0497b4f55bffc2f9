"""What every record of a run has in common: keys checked on loading, unknown keys kept, and the same JSON again."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

SCHEMA = 1  # of every record that this version writes
Number = int | float  # stays what it is in the file: 90, 0.4


class Record(BaseModel):
    """One JSON object. Keys that a version did not write have the class's defaults, and are not written again."""

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True, protected_namespaces=())

    @classmethod
    def parse(cls, tree: object) -> Self:
        """The record in parsed JSON. Raises ValueError (one line, with the key): no object, a key of another type."""
        if not isinstance(tree, dict):
            raise ValueError(f"expected an object, found {type(tree).__name__}")
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    @property
    def empty(self) -> bool:
        """Whether no key is set: the record is not written yet."""
        return not self.model_fields_set

    def updated(self, other: Self) -> Self:
        """This record with the keys that `other` has."""
        return self.model_copy(update={key: getattr(other, key) for key in other.model_fields_set})

    def without(self, *keys: str) -> Self:
        """This record without these keys, which are not written then."""
        return self.model_validate({key: value for key, value in self if key in self.model_fields_set - {*keys}})

    def as_json(self) -> dict[str, Any]:
        """The record's keys as JSON values: known keys in the order of the class, then unknown keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
