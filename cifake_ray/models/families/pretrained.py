"""One pretrained network: frozen with a head on cached features, or fine-tuned on images."""

from collections.abc import Sequence

from torch import nn

from cifake_ray.experiment.families.backbone import PretrainedModel
from cifake_ray.models.families.backbones import BackbonesFamily
from cifake_ray.models.families.base import Prepare
from cifake_ray.models.weight_files import Weights


class PretrainedFamily(BackbonesFamily):
    """One network: frozen (`trainable: none`) under a head on cached features, or fine-tuned together with its head."""

    def build(self, model: PretrainedModel, weights: Sequence[Weights] = ()) -> nn.Module:
        head = self.head(model)
        if model.takes_features:
            return head
        return self.sources[model.kind].fine_tuned(model, head, weights[0] if weights else None)

    def prepare(self, model: PretrainedModel) -> Prepare:
        return super().prepare(model) if model.takes_features else self.sources[model.kind].prepare(model)
