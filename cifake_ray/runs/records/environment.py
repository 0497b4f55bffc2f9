"""environment.json: what a figure of a run depends on besides the experiment. Written by `tuning.environment`."""

import math

from pydantic import Field

from cifake_ray.runs.records.base import Number, Record
from cifake_ray.runs.records.bias import Bias, Spectrum
from cifake_ray.runs.records.warm_start import WarmNote


class Skipped(Record):
    """An image that could not be read, by its name under the source."""

    name: str = ""
    reason: str = ""


class LeftOut(Record):
    """Files or rows that are not used for one reason, with up to three of their names."""

    reason: str = ""
    count: int = 0
    examples: list[str] = []


class TakenNote(Record):
    """Images of one part and class of the source. groups: column to value to images."""

    part: str = ""
    label: str = Field("", alias="class")
    images: int = 0
    groups: dict[str, dict[str, int]] = {}


class TestDrawn(Record):
    """How the test part of a source without one was drawn."""

    __test__ = False  # no test of pytest

    fraction: float = 0.0
    seed: int = 0


class DataNote(Record):
    """The images. `train`, `test`: images by label; `split`: images for training and validation.

    `generated`: whether the images are the built-in sample; None in runs that do not say so. `card`: name of the data
    set's card; `groups`: columns that sort the images; `transforms`: names of what makes squares of the pictures;
    `bias`: of pictures of the user's own, as delivered; `neutral`: name of the encoding that all were brought to, and
    `neutral_bias` then; `spectrum`: of the sample of native sizes. `is_cifake`, `subjects`: what version 0.1 wrote
    instead. `left_out`: groups that neither train nor validate, by column; `unseen`: generators that validate and of
    which no picture trains; `degraded`: the degradations behind val_degraded.
    """

    source: str = ""
    kind: str = ""
    generated: bool | None = None
    fingerprint: str | None = None
    fingerprint_v2: str | None = None
    train: dict[str, int] = {}
    test: dict[str, int] = {}
    validation: dict[str, int] = {}
    taken: list[TakenNote] = []
    said: list[str] = []
    test_drawn: TestDrawn | None = None
    dropped_from_train: int | None = None
    card: str = ""
    groups: list[str] = []
    is_cifake: bool = False
    subjects: bool = False
    left: list[LeftOut] = []
    split: dict[str, int] = {}
    duplicates_in_test: int | None = None
    skipped: list[Skipped] = []
    converted: dict[str, int] = {}
    transforms: list[str] = []
    bias: Bias | None = None
    neutral: str = ""
    neutral_bias: Bias | None = None
    spectrum: Spectrum | None = None
    left_out: dict[str, list[str]] = {}
    unseen: list[str] = []
    degraded: list[str] = []


class Node(Record):
    """A machine of the study: this one (`local`), or another node of the Ray cluster."""

    node: str = ""
    cpus: Number = 0
    cpu_model: str = ""
    gpus: list[str] = []
    memory_gib: Number = 0.0


class WeightsNote(Record):
    """Pretrained weights of a backbone: name, digest of the file, licence, and the stages that the file holds."""

    name: str = ""
    sha256: str
    licence: str = ""
    stages: list[str] = []


class FeatureCost(Record):
    """What extracting features cost: images passed through backbones, wall seconds, core seconds (NaN: not noted)."""

    extracted: int = 0
    seconds: float = 0.0
    cpu_seconds: float = math.nan


class Environment(Record):
    """environment.json. `created`: ISO 8601; `seconds`: wall time of the study, over all its resumptions.

    `warm_start`: what was taken of other runs; `resumed`: versions at each resumption; `ended`: why the trials ended.
    """

    schema_version: int = Field(0, alias="schema")
    created: str = ""
    command: str = ""
    versions: dict[str, str] = {}
    git_commit: str | None = None
    hardware: list[Node] = []
    data: DataNote = DataNote()
    weights: list[WeightsNote] | None = None
    features: FeatureCost | None = None
    warm_start: list[WarmNote] = []
    seeds: dict[str, int] = {}
    max_concurrent: int | None = None
    seconds: float = 0.0
    resumed: list[dict[str, str]] = []
    ended: str = ""
