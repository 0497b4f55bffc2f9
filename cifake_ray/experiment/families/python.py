"""Settings of a network that a Python file of the user's own defines."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, PrivateAttr

from cifake_ray.experiment.families.base import ModelSettings
from cifake_ray.experiment.own_file import OwnFile
from cifake_ray.experiment.values import ViewList


def _check_target(target: str) -> str:
    file, _, name = target.rpartition(":")
    if not re.fullmatch(r"([^:]*/)?[A-Za-z0-9_][A-Za-z0-9_.-]*\.py", file) or not name.isidentifier():
        raise ValueError(f"{target!r} names no class in a file; expected FILE.py:CLASS, as my_net.py:Net")
    return target


class PythonModel(ModelSettings):
    """A network of your own: `target` is FILE.py:CLASS, called as `CLASS(**args)`.

    The network takes float pictures [n, 3, s, s] in 0..1, s being `image_size`, and gives one logit a picture, [n] or
    [n, 1], positive for FAKE. `args.KEY` may be searched where `args` has a single value of that key. `sha256`: of the
    file, noted in runs; where an experiment names it, another file is refused. `views`: as those of `cnn`.
    """

    kind: Literal["python"] = "python"
    target: Annotated[str, AfterValidator(_check_target)]
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    args: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], JsonValue] = Field(default_factory=dict)
    image_size: int = Field(32, ge=16, le=1024)
    views: ViewList = ("identity",)
    _file: OwnFile | None = PrivateAttr(None)  # in no YAML and no JSON: only who may read the file sets it

    @property
    def label(self) -> str:
        return self.target

    @property
    def own_file_path(self) -> str:
        return self.target.rpartition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of the class, or of the function, in the file."""
        return self.target.rpartition(":")[2]

    @property
    def own_file_sha256(self) -> str | None:
        return self.sha256

    @property
    def own_file(self) -> OwnFile | None:
        return self._file

    def with_file(self, file: OwnFile) -> "PythonModel":
        target = f"{file.name}:{self.class_name}"  # as the copy lies beside the experiment.yaml of a run
        model = self.model_copy(update={"target": target, "sha256": file.sha256})
        model._file = file
        return model
