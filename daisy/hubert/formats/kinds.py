"""What a file or model is that daisy does not read, so that the refusal can say so; torch is not needed for it."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

from daisy.common import disguise
from daisy.errors import DaisyError

_UNPACK = "Unpack it, and give the checkpoint that is in it"
_SAVED = "Give the model as torch or transformers save it"
_SOURCE = "Give the model that it was exported from"
_CHECKPOINT = "Give a checkpoint"

_BEGINNINGS = (
    (
        b"\x89HDF\r\n",
        "an HDF5 file, as TensorFlow and Keras write it",
        _SAVED,
    ),
    (b"GGUF", "a GGUF file, whose weights are quantised", _SAVED),
    (b"\x93NUMPY", "a numpy array", _SAVED),
    (b"\x08\x07\x12", "an ONNX model, a program", _SOURCE),
    (b"\x08\x08\x12", "an ONNX model, a program", _SOURCE),
    (b"\x08\x09\x12", "an ONNX model, a program", _SOURCE),
    (b"\x08\x0a\x12", "an ONNX model, a program", _SOURCE),
    (b"RIFF", "a recording", _CHECKPOINT),
    (b"fLaC", "a recording", _CHECKPOINT),
)
"""How files of other kinds begin, beside those of `daisy.common.disguise`, what they are, and what to do."""


def refuse_foreign_file(path: Path) -> None:
    """Refuse a file that holds no weights that torch or safetensors could read, by what its bytes say.

    Raises:
        DaisyError: naming the kind.
    """
    with open(path, "rb") as file:
        head = file.read(1024)
    problem, fix = _by_beginning(head)
    if not problem and head.startswith(b"PK") and zipfile.is_zipfile(path):
        problem, fix = _by_zip(path)
    if problem:
        raise DaisyError(f"it is {problem}", file=path, fix=fix)


def _by_beginning(head: bytes) -> tuple[str, str]:
    """What a file is by its first bytes and what to do; empty if they do not tell."""
    for beginning, what, fix in _BEGINNINGS:
        if head.startswith(beginning):
            return what, fix
    if head[257:262] == b"ustar":
        return "a tar archive (as NeMo's .nemo is)", _UNPACK
    found = None if head.startswith(b"PK") else disguise.told_by(head[:512])  # torch's files are zip archives, too
    if found and not found.what.startswith("JSON"):
        return found.what, _UNPACK if found.fix == disguise.UNPACK else found.fix
    if head.strip() and _is_text(head):
        what = "JSON" if found or head.lstrip()[:1] in b"{[" else "a text"
        return f"{what}, not a checkpoint", "Give the checkpoint's file or folder"
    return "", ""


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 and byte != 127 or byte in b"\t\r\n\f" for byte in head)
    try:
        head[:-4].decode() if len(head) == 1024 else head.decode()
    except UnicodeDecodeError:
        return False
    return printable == len(head)


def _by_zip(path: Path) -> tuple[str, str]:
    """What a zip archive is if torch's pickle is not in it, or if it is a program; empty for a torch file."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return "", ""  # reading it tells what is wrong
    if any(re.match(r"([^/]+/)?(constants\.pkl|code/)", name) for name in names):
        return (
            "a TorchScript archive, a program with its weights",
            "Save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'model.pt'), and give that",
        )
    if any(name.endswith(".npy") for name in names):
        return "a numpy archive (.npz)", _SAVED
    if any(name.endswith("data.pkl") for name in names):
        return "", ""
    if any(name.startswith("archive/models/") or name.endswith("models/model.json") for name in names):
        return "an archive of torch.export (.pt2), a program", "Save the model's state_dict, and give that"
    return f"a zip archive ({', '.join(names[:3])})", _UNPACK


_MODELS = (
    (
        r"\._packed_params(\.|$)|\.(SCB|qweight|qzeros|weight_scale|weight\.(absmax|quant_map|quant_state\..*))$",
        "a model whose weights were quantised",
    ),
    (r"transformer\.layers\.\d+\.attention\.gru_rel_pos", "WavLM under torchaudio's names"),
    (r"pos_conv(\.0|_embed\.batch_norm)\.running_mean", "a HuBERT with batch norm before its positional convolution"),
    (r"layers\.\d+\.(conv_module|conv1?_depthwise|depthwise_conv|self_attn\.pos_bias|ffn1)", "a conformer"),
    (r"feature_extractor_(audio|video)\.", "AV-HuBERT, which reads lips as well"),
    (r"layers\.\d+\.(adapter_layer|adapter_net|adapter)\.", "an encoder with adapters in its layers"),
    (r"layers\.\d+\.\w+\.(\w+\.)?(lora_[AB]|base_layer)", "an encoder with LoRA in its layers"),
    (r"(^|\.)decoder\.(blocks|block)\.|encoder\.blocks\.", "an encoder and decoder such as Whisper or T5"),
    (r"(^|\.)modality_encoders\.", "data2vec 2.0"),
    (r"feature_extractor\.conv0\.weight", "a soft HuBERT under names of its own"),
    (r"encoder_frontend\.feature_extractor\.", "a model of fairseq2's"),
    (r"embeddings\.word_embeddings|(^|\.)(wte|tok_embeddings|embed_tokens)\.weight", "a language model"),
    (r"(^|\.)layer1\.\d\.(conv1|bn1)\.", "a model of pictures (ResNet)"),
)
"""A name that only another model's weights have, and what that model is; the first that fits is told."""


def foreign_model(names: Iterable[str]) -> str | None:
    """What a model is, by the names of its weights; None for the known kinds, and where they do not tell."""
    everything = "\n".join(names)
    return next((what for mark, what in _MODELS if re.search(mark, everything, re.MULTILINE)), None)


_NAMED = {
    "data2vec": "data2vec of a later version, or of text or pictures",
    "av_hubert": "AV-HuBERT",
    "hubert_seq2seq": "a HuBERT with a decoder (seq2seq)",
    "unispeech": "UniSpeech",
    "sew": "SEW",
    "wav2vec2-bert": "wav2vec2-BERT",
    "wav2vec2-conformer": "wav2vec 2.0 with a conformer",
    "wav2vec2": "a model around wav2vec 2.0",
    "wav2vec": "wav2vec",
    "whisper": "Whisper",
}


def named(name: str) -> str | None:
    """What a model is, by its configuration's own name of it, which is none that daisy knows."""
    lower = name.lower()
    return next((what for known, what in _NAMED.items() if lower.startswith(known)), None)


def not_known(what: str) -> DaisyError:
    """The refusal of another model."""
    return DaisyError(
        f"it is {what}, which daisy does not support", fix="Use a HuBERT, wav2vec 2.0, WavLM or data2vec audio"
    )
