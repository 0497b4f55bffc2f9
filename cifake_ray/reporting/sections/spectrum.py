"""What the radial spectrum alone tells, beside each model: on the sample of native sizes, a test of the path."""

from collections.abc import Sequence

from cifake_ray.data.audit.bias_text import score_words
from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.formatting import headline_test, percent, rows_of
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table

METHOD = (
    "Logistic regression (scikit-learn) on the logarithm of the mean power at 40 radii of each picture's spectrum in "
    "its own size (Durall et al. 2020, arXiv 2003.01826), trained on the train part. Share of the test images called "
    "rightly, with its 95 % interval."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for each model of a study that noted what the spectrum tells."""
    noted = {study.name: study.records.environment.data.spectrum for study in studies}
    rows = [
        {
            "Study": str(row["study"]),
            "Model": str(row["role"]),
            "Test %": percent(headline_test(row)),
            "Radial spectrum alone": score_words(found.accuracy),
        }
        for row in rows_of(comparison_table(studies))
        if (found := noted.get(str(row["study"]))) is not None
    ]
    if not rows:
        return None
    return Section("Beside the radial spectrum", tables=(Table(rows, terminal=()),), method=METHOD, minor=True)
