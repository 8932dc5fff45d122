"""The classes that may lie beside a torch file's weights, by name, and what stands in for each of them.

fairseq, OmegaConf and s3prl pickle configuration, dictionaries, counters and schedules beside the weights. A name of
this list becomes `Inert`, which holds data and does nothing; no name ever becomes the class that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEPEST, _MOST = 200, 100_000
"""How deep a configuration may go, and how many values it may have: no real one comes near."""


class Inert:
    """Takes the place of a class that a checkpoint names: keeps what it is given, and does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Part of a list's protocol."""

    def extend(self, items: Any) -> None:
        """Part of a list's protocol."""

    def add(self, item: Any) -> None:
        """Part of a set's protocol."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Part of a dict's protocol."""


NAMES = (
    "fairseq.data.dictionary.Dictionary",
    *(f"omegaconf.{name}" for name in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata", "Node", "UnionNode", "SCMode")),
    *(
        f"omegaconf.nodes.{name}Node"
        for name in ("Any", "String", "Integer", "Float", "Boolean", "Enum", "Bytes", "Path", "Interpolation")
    ),
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "int", "float", "str", "bool", "bytes", "object")),
    *("typing.Any", "typing.Union", "typing.Optional", "typing.List", "typing.Tuple", "typing.Dict"),
    "builtins.NoneType",
    "operator.getitem",  # how Python pickles `Union[int, str]`
    "collections.defaultdict",
    "_codecs.encode",  # the bytes of numpy's scalars
    *(f"numpy.core.multiarray.{name}" for name in ("scalar", "_reconstruct")),
    *(f"numpy._core.multiarray.{name}" for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath")),
    # Configurations that still know the class they were checked by.
    *(
        f"fairseq.dataclass.configs.{name}"
        for name in (
            *("FairseqConfig", "CommonConfig", "CommonEvalConfig", "DatasetConfig", "DistributedTrainingConfig"),
            *("OptimizationConfig", "CheckpointConfig", "FairseqBMUFConfig", "GenerationConfig", "EvalLMConfig"),
            *("InteractiveConfig", "EMAConfig", "FairseqDataclass"),
        )
    ),
    "fairseq.dataclass.constants.StrEnum",
    *(f"fairseq.models.hubert.hubert.{name}" for name in ("HubertConfig",)),
    *(f"fairseq.models.hubert.hubert_asr.{name}" for name in ("HubertAsrConfig", "HubertCtcConfig")),
    *(f"fairseq.models.wav2vec.wav2vec2.{name}" for name in ("Wav2Vec2Config",)),
    *(f"fairseq.models.wav2vec.wav2vec2_asr.{name}" for name in ("Wav2Vec2AsrConfig", "Wav2Vec2CtcConfig")),
    "fairseq.models.wav2vec.wav2vec2.EXTRACTOR_MODE_CHOICES",
    "fairseq.models.wav2vec.wav2vec2.MASKING_DISTRIBUTION_CHOICES",
    "fairseq.models.wav2vec.wav2vec2.LAYER_TYPE_CHOICES",
    "examples.data2vec.models.data2vec_audio.Data2VecAudioConfig",
    "fairseq.tasks.hubert_pretraining.HubertPretrainingConfig",
    "fairseq.tasks.audio_pretraining.AudioPretrainingConfig",
    "fairseq.tasks.audio_finetuning.AudioFinetuningConfig",
    "fairseq.criterions.hubert_criterion.HubertCriterionConfig",
    "fairseq.criterions.ctc.CtcCriterionConfig",
    "fairseq.optim.adam.FairseqAdamConfig",
    "fairseq.optim.lr_scheduler.polynomial_decay_schedule.PolynomialDecayLRScheduleConfig",
    "fairseq.optim.lr_scheduler.tri_stage_lr_scheduler.TriStageLRScheduleConfig",
    "fairseq.scoring.bleu.SacrebleuConfig",
    # What s3prl's optimisers keep in the state that it saves.
    *(
        f"{module}.{name}"
        for module in ("optimizers", "s3prl.optimizers")
        for name in ("ConstantLR", "WarmupLinearSchedule", "WarmupConstantSchedule", "WarmupCosineSchedule")
    ),
)
"""Every name that may stand in a torch file beside torch's own."""


def held(value: Any) -> Any:
    """`value` with the stand-ins for OmegaConf's containers and for enumerations turned into what they hold.

    Raises:
        ValueError: if it is nested too deep, or holds more than any configuration.
    """
    return _Held().of(value, 0)


class _Held:
    """Counts, since a few bytes that refer to one another stand for more than a memory holds."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, value: Any, depth: int) -> Any:
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST:
            raise ValueError("the configuration is nested too deep, or too large")
        if isinstance(value, Inert):
            state = getattr(value, "state", None)
            if isinstance(state, Mapping):
                return self.of(state.get("_content", state.get("_val")), depth + 1)
            return self.of(value.arguments[0], depth + 1) if value.arguments else None
        if isinstance(value, Mapping):
            return {self._key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.of(item, depth + 1) for item in value)
        return value

    def _key(self, key: Any) -> Any:
        return str(self.of(key, 0)) if isinstance(key, Inert) else key
