"""Checkpoints that fairseq makes: by its own classes, its own saving, and its own pre-training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daisy.common import audio
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.targets.km import write_dictionary, write_labels

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests/golden"

CLUSTERS = 20
"""Lines of `dict.km.txt`; fairseq's dictionary puts four special symbols before them."""

NEVER = (1, CLUSTERS + 3)
"""Rows of the head that no frame is nearest to: a special symbol, and the last cluster."""

SHAPES = {
    "base": {
        "encoder_embed_dim": 96,
        "encoder_attention_heads": 12,
        "encoder_ffn_embed_dim": 384,
        "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
        "untie_final_proj": True,
    },
    "large": {
        "encoder_embed_dim": 128,
        "encoder_attention_heads": 16,
        "encoder_ffn_embed_dim": 512,
        "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
        "untie_final_proj": True,
        "extractor_mode": "layer_norm",
        "layer_norm_first": True,
        "conv_bias": False,
    },
}
"""Base and Large as fairseq configures them, but for depth and widths."""

COMMON = {"encoder_layers": 3, "final_dim": 32, "label_rate": 50}


def dataset(folder: Path) -> list[Tensor]:
    """The golden recordings twice over, as fairseq's task reads them, with random labels; the recordings."""
    paths = sorted(GOLDEN.glob("*.wav")) * 2
    waves = [audio.read(path) for path in paths]
    items = [Utterance(f"u{n}", path.name, len(waves[n]), "s", "") for n, path in enumerate(paths)]
    generator = torch.Generator().manual_seed(3)
    labels = [torch.randint(CLUSTERS, (len(wave) // 320 + 1,), generator=generator).numpy() for wave in waves]
    for part in ("train", "dev"):
        write_manifest(folder / f"{part}.tsv", GOLDEN, items)
        write_labels(folder / f"{part}.km", labels)
    write_dictionary(folder / "dict.km.txt", [1] * CLUSTERS)
    return waves[: len(waves) // 2]


def normalised(wave: Tensor, shape: str) -> Tensor:
    """The waveform as the task of this shape passes it on."""
    return torch.nn.functional.layer_norm(wave, wave.shape) if shape == "large" else wave


def initial(shape: str, data: Path, path: Path, waves: list[Tensor], **more: object):
    """A model of random weights whose classes lie among what it projects, saved by fairseq; and the model.

    Fresh embeddings are so alike, and so are fresh states, that hardly two classes would ever win. Here each is what
    the head makes of some frame, special symbols included, but for two classes that are opposite to all of them.
    """
    from fairseq import checkpoint_utils
    from fairseq.models.hubert import HubertConfig, HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig, HubertPretrainingTask
    from omegaconf import OmegaConf

    torch.manual_seed(7)
    config = HubertConfig(**{**COMMON, **SHAPES[shape], **more})
    task_config = HubertPretrainingConfig(data=str(data), labels=["km"], label_rate=50, normalize=shape == "large")
    task = HubertPretrainingTask(task_config)
    model = HubertModel.build_model(config, task).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1, where a mix-up would not show
            if parameter.ndim == 1:
                parameter += 0.05 * torch.randn_like(parameter)
        if model.target_glu is None:
            model.final_proj.bias += 2  # so that all frames are on one side, and nothing on the other ever wins
        states = [model.extract_features(normalised(wave, shape)[None], mask=False)[0][0] for wave in waves]
        projected = model.final_proj(torch.cat(states))
        places = torch.linspace(0, len(projected) - 1, CLUSTERS + 4).long()
        model.label_embs_concat[:] = projected[places]
        for number in NEVER:
            model.label_embs_concat[number] = -(1 + number) * projected.mean(0)
    plain = {
        "model": OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True) | {"_name": "hubert"},
        "task": OmegaConf.to_container(OmegaConf.structured(task_config), enum_to_str=True)
        | {"_name": "hubert_pretraining"},
    }
    content = {
        "args": None,
        "cfg": plain,
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "FairseqAdam", "lr_scheduler_state": {}, "num_updates": 0}],
        "task_state": task.state_dict(),
        "extra_state": {"train_iterator": {"epoch": 1}},
    }
    checkpoint_utils.torch_persistent_save(content, str(path))
    return model


def pretrained(shape: str, data: Path, start: Path, folder: Path, updates: int = 3) -> Path:
    """The checkpoint that fairseq's trainer leaves after some updates of the model `start`."""
    values = {**COMMON, **SHAPES[shape]}
    values["conv_feature_layers"] = f"'{values['conv_feature_layers']}'"
    command = [
        *(sys.executable, str(ROOT / "rules/scripts/fairseq_train.py")),
        *("--config-dir", str(ROOT / "config/pretrain"), "--config-name", "hubert_tiny"),
        *(f"task.data={data}", f"task.label_dir={data}", "dataset.valid_subset=dev", "task.label_rate=50"),
        *(f"task.normalize={str(shape == 'large').lower()}", f"checkpoint.finetune_from_model={start}"),
        *(f"optimization.max_update={updates}", "lr_scheduler.warmup_updates=1", "optimization.lr=[0.0001]"),
        *(f"checkpoint.save_dir={folder}", f"hydra.run.dir={folder}/hydra"),
        *(f"++model.{key}={value}" for key, value in values.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=data)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "checkpoint_last.pt"


def tiny_fairseq(path: Path, wave: Tensor, *, normalize: bool = False, **settings: Any) -> list[Tensor]:
    """Write a small HuBERT of fairseq's with some settings, and give what fairseq makes of a recording, by layer."""
    from fairseq.models.hubert import HubertConfig, HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
    from omegaconf import OmegaConf

    torch.manual_seed(3)
    shape = {
        **{"label_rate": 50.0, "encoder_layers": 2, "encoder_embed_dim": 48, "encoder_ffn_embed_dim": 96},
        **{"encoder_attention_heads": 4, "conv_pos": 16, "conv_pos_groups": 4},
        "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
    }
    config = HubertConfig(**{**shape, **settings})
    task = HubertPretrainingConfig(data="unused", labels=["km"], label_rate=50, normalize=normalize)
    model = HubertModel(config, task, [None]).eval()
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.2 if parameter.ndim == 1 else 0.05) * torch.randn_like(parameter)
    plain = {
        name: OmegaConf.to_container(OmegaConf.structured(part), enum_to_str=True)
        for name, part in (("model", config), ("task", task))
    }
    torch.save({"args": None, "cfg": plain, "model": model.state_dict()}, path)
    source = torch.nn.functional.layer_norm(wave, wave.shape) if normalize else wave
    with torch.no_grad():
        return [
            model.extract_features(source=source[None], padding_mask=None, mask=False, output_layer=k)[0][0]
            for k in (1, 2)
        ]
