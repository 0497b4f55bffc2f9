"""Groups of pictures: which there are before and after decoding, and which are large enough for a metric."""

from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.groups import (
    check_generators,
    check_groups,
    columns_of,
    columns_of_source,
    generator_codes,
    in_groups,
    large_generators,
    values_of,
)
from cifake_ray.data.sources.find import find_source
from cifake_ray.data.table import ImageTable
from cifake_ray.errors import InputError
from cifake_ray.experiment import Data, Metric

from ..generators import write_generators


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    return load_images(write_generators(tmp_path / "set", train={"adam": 25, "bertha": 20, "carl": 19})).train.table


def test_groups_are_the_same_before_and_after_decoding(tmp_path: Path) -> None:
    source = write_generators(tmp_path / "set", unnamed=2)
    before = columns_of_source(find_source(source).read().parts)
    assert before == columns_of(load_images(source).train.table) == {"generator": ["adam", "bertha", "carl"]}


def test_generators_are_those_of_fake_pictures(table: ImageTable) -> None:
    codes, known = generator_codes(table)
    assert known == ("adam", "bertha", "carl")
    assert np.bincount(codes + 1).tolist() == [60, 25, 20, 19]
    assert in_groups(table, {"generator": ["adam", "carl"]}).sum() == 44
    assert not in_groups(table, {"generator": ["nobody"], "camera": ["x"]}).any()


def test_generators_of_fewer_than_twenty_pictures_have_no_number(table: ImageTable) -> None:
    assert np.bincount(large_generators(table) + 1).tolist() == [60 + 19, 25, 20]
    few = table.take(np.flatnonzero(~in_groups(table, {"generator": ["bertha"]})))
    with pytest.raises(InputError, match=r"needs two generators with 20 validation pictures or more; there are "
                                         r"adam 25, carl 19; raise data.val_fraction"):  # fmt: skip
        large_generators(few)


def test_the_worst_generator_is_refused_where_no_generator_is_known(table: ImageTable) -> None:
    with pytest.raises(InputError, match=r"^search.metric: val_worst_group needs two generators; the generators of "
                                         r"these images are not known; choose another metric$"):  # fmt: skip
        check_generators(Metric.VAL_WORST_GROUP, {})
    with pytest.raises(InputError, match="needs two generators; there is adam"):
        check_generators(Metric.VAL_WORST_GROUP, {"generator": ["adam"]})
    check_generators(Metric.VAL_WORST_GROUP, columns_of(table))
    check_generators(Metric.VAL_AUC, {})
    with pytest.raises(InputError, match="the generators of these images are not known"):
        large_generators(ImageTable(table.columns.drop_columns(["generator"])))


def test_a_group_that_a_card_may_read_from_names_is_refused_after_decoding_only() -> None:
    data = Data(leave_out=["bird"])
    check_groups(data, {}, {"train": 100_000, "test": 20_000})  # as many as CIFAKE has
    with pytest.raises(InputError, match="the subjects of these images are not known"):
        check_groups(data, {}, {"train": 100, "test": 20})
    with pytest.raises(InputError, match="the subjects of these images are not known"):
        check_groups(data, {})


def test_a_column_that_pictures_lack_is_named_with_those_that_they_have(table: ImageTable) -> None:
    assert set(values_of(table, "generator", "--by generator")) == {"", "adam", "bertha", "carl"}
    with pytest.raises(InputError, match=r"^--by camera: the cameras of these images are not known; known of these "):
        values_of(table, "camera", "--by camera")
