"""What the figures do not say: the limits section of report and Markdown. Of a data set its card speaks."""

from collections.abc import Sequence

from cifake_ray.reporting.formatting import percent
from cifake_ray.reporting.load import Study, cards_of

_ALWAYS = (
    "Winners are chosen on validation images, so their validation accuracy is a little too good (selection noise, "
    "above); the test part is used once, for winners and baselines.",
    "A detector says nothing about images of another size or origin than those it was trained on, or images that were "
    "edited, cropped or compressed again. Do not use it to accuse anyone.",
)
_WEIGHTS = {
    "imagenet-pq": "product-quantised ResNet50 (72.2 % ImageNet top-1, Martinez et al. 2021; non-commercial licence)",
    "imagenet-v1": "torchvision's ResNet50 IMAGENET1K_V1",
    "imagenet-v2": "torchvision's ResNet50 IMAGENET1K_V2",
    "random": "no pretrained weights: an untrained backbone",
    "none": "no pretrained weights, trained from scratch",
}


def limits(studies: Sequence[Study]) -> list[str]:
    """Sentences, the measured ones first among those that depend on the runs."""
    caveats = [caveat for card in cards_of(studies) for caveat in card.caveats]
    return [*caveats, _weakness(studies), *_elsewhere(studies), *_weights(studies), *_ALWAYS]


def _weakness(studies: Sequence[Study]) -> str:
    """How the worst degradation hits each study for which it is measured."""
    drops = []
    for study in studies:
        rows = {row["name"]: row for row in study.robustness.get("rows") or []}
        degraded = [row for row in rows.values() if row["kind"] not in ("clean", "left out", "seen")]
        if degraded and "as they are" in rows:
            worst = min(degraded, key=lambda row: float(row["accuracy"]["value"]))
            values = [percent(row["accuracy"]["value"], 1) for row in (rows["as they are"], worst)]
            drops.append(f"{study.name} falls from {values[0]} to {values[1]} % ({worst['name']})")
    general = "Such detectors are weak under blur, compression and scaling, and on other generators."
    return (
        f"{general} Measured here: {'; '.join(drops)}." if drops else f"{general} It was not measured for these runs."
    )


def _elsewhere(studies: Sequence[Study]) -> list[str]:
    if any(study.evaluations for study in studies):
        return ["Of images from elsewhere, only those in the table of other images were measured."]
    return ["No images of another generator were tried: on them the figures above do not hold."]


def _weights(studies: Sequence[Study]) -> list[str]:
    """Which weights each study's backbone had, and up to which stage."""
    found = []
    for study in studies:
        name = str(study.winner("tuned").get("weights") or study.experiment.model.weights_label)
        described = _WEIGHTS.get(name, name)
        noted = study.environment.get("weights") or []
        stages = {stage for weights in noted if weights.get("name") == name for stage in weights.get("stages") or []}
        part = f", of a file that holds {', '.join(sorted(stages, key=_depth))}" if stages else ""
        found.append(f"{study.name}: {described}{part}")
    return [f"Weights used. {'; '.join(found)}."] if found else []


def _depth(stage: str) -> tuple[bool, str]:
    return stage != "stem", stage
