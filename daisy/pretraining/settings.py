"""Settings of the pre-training: its stages, and the recipe that runs them."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute


@dataclasses.dataclass(frozen=True)
class CardSettings:
    """Config of `daisy.pretraining.export`: what the model card says beside what it measures.

    Attributes:
        title: The model's name.
        tool: What trained it, and where.
        targets: What it was trained to predict.
        data: What it was trained on.
        licence: Whose terms hold for data and weights.
        made_by: The command.
    """

    title: str
    tool: str
    targets: str
    data: str = "the train part of the embedded speech (see README); no recording that any task tests on"
    licence: str = (
        "the recordings are under CC-BY-SA 3.0 and the GPL (see README); the weights are offered under CC-BY-SA 4.0"
    )
    made_by: str = "`snakemake pretrain` (`rules/pretrain.smk`)"


@dataclasses.dataclass(frozen=True)
class SpeechSettings:
    """Config of `daisy.pretraining.speech`.

    Attributes:
        hours: How much speech.
        voices: How often each voice reads, relative to the others: ``flite/slt``, ``espeak/en-us+f2``, ``pico/us``.
        seed: Seed of texts, voices and all that varies.
        commands: Share of the recordings that are of the commands' words.
        rate: Slowest and fastest reading relative to a voice's own.
        shift: Lowest and highest factor on all frequencies.
        dev_every: One recording in so many is for validation.
        shard: Recordings made at once.
    """

    hours: float
    voices: dict[str, float]
    seed: int = 1337
    commands: float = 0.15
    rate: tuple[float, float] = (0.85, 1.2)
    shift: tuple[float, float] = (0.92, 1.1)
    dev_every: int = 50
    shard: int = 100


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The shape of the model; its front end is HuBERT's with fewer channels.

    Attributes:
        layers: Transformer layers.
        dim: Their width.
        ffn_dim: The width of their feed-forward parts.
        heads: Attention heads.
        channels: Channels of every convolution.
        final_dim: The width in which frames are compared with classes.
    """

    layers: int = 12
    dim: int = 128
    ffn_dim: int = 512
    heads: int = 4
    channels: int = 64
    final_dim: int = 64


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """What is done to recordings while the targets stay those of the clean ones.

    Attributes:
        noise: Share of recordings with noise over their whole length.
        speech: Share with another recording over up to half of their length.
        reverberation: Share in a room.
        noise_db: Lowest and highest ratio of speech to noise.
        speech_db: Lowest and highest ratio of speech to other speech.
        decay: Shortest and longest time in which a room's sound falls by 60 dB, in seconds.
    """

    noise: float = 0.0
    speech: float = 0.0
    reverberation: float = 0.0
    noise_db: tuple[float, float] = (-5.0, 20.0)
    speech_db: tuple[float, float] = (-5.0, 5.0)
    decay: tuple[float, float] = (0.1, 0.6)


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Config of `daisy.pretraining.train`; the defaults are fairseq's for HuBERT Base, where it has them.

    Attributes:
        steps: Updates.
        warmup: Steps in which the learning rate rises; then it falls to zero, both linearly.
        learning_rate: Its highest value.
        classes: Of the targets.
        batch_seconds: Audio in a step.
        max_seconds: A longer recording is cut, at a random place.
        seed: Seed of weights, order, cuts, masks, dropout and augmentation.
        mask_prob: Share of frames that masked spans would cover if none overlapped.
        mask_length: Frames of a span.
        masked_weight: Weight of the loss on masked frames.
        unmasked_weight: Weight of the loss on the other frames.
        penalty: Weight of the front end's mean square.
        temperature: What cosine similarities are divided by.
        dropout: Of all parts of the transformer, and of its input.
        attention_dropout: Of attention's weights.
        layerdrop: Share of layers that a step leaves out.
        front_end: Factor on the front end's gradient; 0 leaves its weights as they are.
        kept: Copies of each recording, each augmented once, of which a front end that stays as it is is computed
            beforehand and kept on the disk; 0 computes it in every step.
        betas: Adam's.
        weight_decay: Adam's.
        clip: Highest norm of the gradient.
        save_every: Steps between two saved states.
        validate_every: Steps between two validations.
        log_every: Steps that a row of the history is the mean of.
        ahead: Batches that are read and augmented beforehand.
        augment: See there.
        compute: Where, and how precisely.
    """

    steps: int
    warmup: int
    learning_rate: float
    classes: int
    batch_seconds: float = 40.0
    max_seconds: float = 15.0
    seed: int = 1337
    mask_prob: float = 0.8
    mask_length: int = 10
    masked_weight: float = 1.0
    unmasked_weight: float = 0.0
    penalty: float = 10.0
    temperature: float = 0.1
    dropout: float = 0.1
    attention_dropout: float = 0.1
    layerdrop: float = 0.05
    front_end: float = 0.1
    kept: int = 0
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 10.0
    save_every: int = 200
    validate_every: int = 1000
    log_every: int = 50
    ahead: int = 4
    augment: AugmentSettings = AugmentSettings()
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class ProbeSettings:
    """Config of `daisy.pretraining.probe`.

    Attributes:
        steps: Updates of the linear CTC.
        batch_size: Recordings in each.
        learning_rate: Highest value, falling linearly.
        recordings: At most so many of each part are used; 0 for all.
        seed: Seed of the draw, the weights and the order.
    """

    steps: int = 1500
    batch_size: int = 16
    learning_rate: float = 0.003
    recordings: int = 1000
    seed: int = 1337


@dataclasses.dataclass(frozen=True)
class IterationSettings:
    """One training of the recipe.

    Attributes:
        train: Its settings; `seed`, `classes` and `compute` are the recipe's.
        layer: Whose clusters are the targets: a layer of the iteration before; 0 for phones.
        own: Whether recordings without phones, synthetic and real, join with those that the iteration before hears in
            them; only for an iteration on phones after another.
        clusters: Their number.
        utterances: Share of utterances that the clustering sees.
        share: Share of their frames.
        fresh: Whether it starts from fresh weights, and not from those of the iteration before.
        probed: Whether layers are probed after it.
    """

    train: dict[str, object]
    layer: int = 0
    own: bool = False
    clusters: int = 0
    utterances: float = 0.2
    share: float = 0.3
    fresh: bool = False
    probed: bool = True


@dataclasses.dataclass(frozen=True)
class RecipeSettings:
    """Config of `daisy.pretraining.recipe`.

    Attributes:
        speech: The synthetic speech.
        iterations: One training after the other.
        card: What the card says; its targets are told by the iterations.
        model: The model's shape.
        probe: How layers are probed after each iteration.
        seed: Seed of everything.
        compute: Where, and how precisely, everything but clustering and labels runs.
    """

    speech: dict[str, object]
    iterations: tuple[IterationSettings, ...]
    card: CardSettings
    model: ModelSettings = ModelSettings()
    probe: ProbeSettings = ProbeSettings()
    seed: int = 1337
    compute: Compute = Compute()
