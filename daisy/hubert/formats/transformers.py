"""A folder of transformers' `HubertModel.save_pretrained`, or its kin's, or of a model around one, as CTC has it.

``model.safetensors`` or ``pytorch_model.bin``, or several files with an index, hold the weights, ``config.json`` the
shape, and ``processor_config.json`` or the older ``preprocessor_config.json`` whether waveforms are normalised. The
project adds two files of its own, which transformers passes over: ``daisy.json`` (fairseq's configuration, symbols,
calibrations) and ``daisy.safetensors`` (branches and pre-training head, under the project's names). A file of weights
alone is read with the folder that it lies in, and a hub's cache by the snapshot that it calls its newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig, flag
from daisy.hubert.formats import kinds
from daisy.hubert.formats.checks import fitting, json_object
from daisy.hubert.formats.content import Content, Format, beside_encoder
from daisy.hubert.formats.fields import EXTRACTOR, TRANSFORMERS
from daisy.hubert.formats.renaming import Names
from daisy.hubert.formats.source import Source, open_file, state_dict

NAMES = Names(projection="feature_projection.", transformer="encoder.", single={"mask_emb": "masked_spec_embed"})

MODELS = {"hubert": "hubert", "wav2vec2": "wav2vec2", "wavlm": "wavlm", "data2vec-audio": "data2vec_audio"}
"""The kinds of models, and what fairseq calls them."""

WEIGHTS, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
OWN, OWN_WEIGHTS = "daisy.json", "daisy.safetensors"
_PROCESSOR = "processor_config.json"
_WEIGHTS = (WEIGHTS, f"{WEIGHTS}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""In the order in which transformers looks for them."""

_OTHERS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "rust_model.ot": "Rust"}


def _recognise(source: Source) -> bool:
    return source.kind == "folder" or NAMES.used_by(source.weights) or bool(_shards(source.path))


def _read(source: Source) -> Content:
    folder = _snapshot(source.path) if source.kind == "folder" else source.path.parent
    if source.kind != "folder" and not (folder / CONFIG).is_file():
        raise DaisyError("transformers' weights without config.json", fix="Give the whole folder")
    config = _json(folder / CONFIG, required=True)
    with fitting(folder / CONFIG):
        normalize = _normalize(folder)
        fairseq = _fairseq_config(config, normalize=normalize)
    state = _weights(source, folder)
    what = kinds.foreign_model(state)
    if what:
        raise kinds.not_known(what)
    if not NAMES.used_by(state):
        raise DaisyError("its weights do not have transformers' names", file=folder, fix="Use the folder of a HuBERT")
    extras = _json(folder / OWN, required=False)
    own = extras.get("fairseq_config", fairseq)
    if normalize not in (None, flag(own["task"], "normalize")):
        problem = f"it and {PREPROCESSOR} differ in whether waveforms are normalised"
        raise DaisyError(problem, file=folder / OWN, fix="Restore both files, or convert the model anew")
    if (folder / OWN_WEIGHTS).is_file():
        state |= open_file(folder / OWN_WEIGHTS, source.opener)[0]
    return Content(state, own, extras.get("symbols"), extras.get("calibrations") or {})


def _rename(state: Mapping[str, Any], shape: HubertConfig) -> dict[str, Any]:
    return NAMES.to_own(state, shape) | {name: value for name, value in state.items() if beside_encoder(name)}


def _snapshot(folder: Path) -> Path:
    """The folder of a model: `folder`, or in a hub's cache its newest snapshot.

    Raises:
        DaisyError: if there is none, or nothing says which.
    """
    if (folder / CONFIG).is_file():
        return folder
    models = [path for path in sorted(folder.glob("models--*")) if path.is_dir()]
    if len(models) > 1:
        named = ", ".join(path.name for path in models[:4])
        raise DaisyError(
            f"a hub's cache with {len(models)} models ({named})", file=folder, fix="Give one model's folder in it"
        )
    cache = models[0] if models else folder
    snapshots = [path for path in (cache / "snapshots").glob("*") if (path / CONFIG).is_file()]
    if not snapshots:
        raise _no_model(folder, cache)
    main = cache / "refs" / "main"
    newest = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    return max(snapshots, key=lambda path: (path.name == newest, path.stat().st_mtime, path.name))


def _behind(path: Path) -> Path:
    """The file itself, where a hub's cache was copied by what turns its links into texts that say where they lead."""
    if path.parent.parent.name != "snapshots" or not path.is_file() or path.stat().st_size > 200:
        return path
    target = path.parent / path.read_text(encoding="utf-8", errors="replace").strip()
    blobs = path.parent.parent.parent / "blobs"
    return target if target.resolve().parent == blobs.resolve() and target.is_file() else path


def _no_model(folder: Path, cache: Path) -> DaisyError:
    if (cache / "snapshots").is_dir():
        return DaisyError("a hub's cache without a whole snapshot", file=cache, fix="Download the model again")
    endings = (".pt", ".ckpt", ".pth", ".bin", ".safetensors")
    files = sorted(path.name for path in folder.iterdir() if path.suffix in endings)
    if files:
        named = ", ".join(files[:4])
        return DaisyError(f"no {CONFIG} in the folder, but {named}", file=folder, fix="Give the file itself")
    return DaisyError(f"no {CONFIG} in the folder", file=folder, fix="Give a HuBERT's folder or file")


def _weights(source: Source, folder: Path) -> dict[str, Any]:
    """The weights of the folder; of the file that was given, if that is none of its usual ones."""
    name = next((name for name in _WEIGHTS if (folder / name).is_file()), None)
    given = "" if source.kind == "folder" else source.path.name
    files = [] if name is None else _indexed(folder / name) if name.endswith(".json") else [name]
    if given and given not in files:
        files = _shards(source.path) or [given]
    if not files:
        there = ((file, kind) for file, kind in _OTHERS.items() if (folder / file).is_file())
        other = next((f"{kind}'s weights alone ({file})" for file, kind in there), "")
        raise DaisyError(
            other or f"no {WEIGHTS} in the folder, and no pytorch_model.bin",
            file=folder,
            fix="Save the model again with transformers' save_pretrained",
        )
    state: dict[str, Any] = {}
    for file in files:
        content, _, kind = open_file(_behind(folder / file), source.opener)
        state |= content if kind == "safetensors" else state_dict(content)
    return state


def _shards(path: Path) -> list[str]:
    """The files of the index beside `path` that names it; none if there is no such index."""
    indexes = [path.parent / name for name in _WEIGHTS if name.endswith(".json")]
    parts = (_indexed(index) for index in indexes if index.is_file())
    return next((part for part in parts if path.name in part), [])


def _indexed(index: Path) -> list[str]:
    """The files of an index.

    Raises:
        DaisyError: if it names none, or one that does not lie beside it.
    """
    places = _json(index, required=True).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise DaisyError("no weight_map in the index", file=index, fix="Restore the folder")
    files = sorted(set(places.values()))
    for file in files:
        if Path(file).name != file or not (index.parent / file).is_file():
            raise DaisyError(f"the index names {file}, which is not there", file=index, fix="Restore the folder")
    return files


def _json(path: Path, *, required: bool) -> dict[str, Any]:
    path = _behind(path)
    if path.is_file():
        try:
            return json_object(path.read_text(encoding="utf-8"), path)
        except UnicodeDecodeError as error:
            raise DaisyError(f"not valid JSON ({error})", file=path, fix="Restore the file from its source") from None
    if required:
        raise DaisyError(f"no {path.name} in the folder", file=path.parent, fix="Give a HuBERT's folder or file")
    return {}


def _normalize(folder: Path) -> bool | None:
    """Whether the feature extractor normalises waveforms; None if the folder has none.

    Raises:
        DaisyError: if it does what daisy does not.
    """
    nested = _json(folder / _PROCESSOR, required=False).get("feature_extractor")
    path = folder / (_PROCESSOR if isinstance(nested, dict) else PREPROCESSOR)
    extractor = nested if isinstance(nested, dict) else _json(path, required=False)
    if not extractor:
        return None
    with fitting(path):
        EXTRACTOR.check(extractor)
        return flag(extractor, "do_normalize", True)  # transformers' default


def _fairseq_config(config: Mapping[str, Any], *, normalize: bool | None) -> dict[str, Any]:
    """fairseq's configuration.

    Args:
        config: The content of ``config.json``; what it leaves out takes transformers' defaults.
        normalize: Whether the feature extractor normalises; None if there is none, and then as in
            fairseq's models: normalised where the front end has layer norms.

    Raises:
        DaisyError: if the model is of another kind, or has a part that the known kinds do not have.
    """
    kind = config.get("model_type")
    if kind not in MODELS:
        what = kinds.named(str(kind))
        said = f" ({what})" if what else ""
        raise DaisyError(f"model_type is {kind!r}{said}", fix=f"Use a model whose type is {' or '.join(MODELS)}")
    TRANSFORMERS.check(config)
    large = kind == "data2vec-audio" or _norm(config) == "layer"
    model = {
        "conv_feature_layers": str(_convolutions(config)),
        "conv_bias": config.get("conv_bias", False),
        "extractor_mode": "layer_norm" if large else "default",
        "encoder_embed_dim": config.get("hidden_size", 768),
        "encoder_ffn_embed_dim": config.get("intermediate_size", 3072),
        "encoder_attention_heads": config.get("num_attention_heads", 12),
        "encoder_layers": config.get("num_hidden_layers", 12),
        "conv_pos": config.get("num_conv_pos_embeddings", 128),
        "conv_pos_groups": config.get("num_conv_pos_embedding_groups", 16),
        "layer_norm_first": config.get("do_stable_layer_norm", False),
        "activation_fn": config.get("hidden_act", "gelu"),
        "layer_norm_eps": config.get("layer_norm_eps", 1e-5),
    }
    model |= _of_kind(kind, config)
    return {"model": model, "task": {"normalize": large if normalize is None else normalize}}


def _of_kind(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What fairseq's configuration says of a kind of model beside, or in place of, what it says of HuBERT.

    Raises:
        DaisyError: if data2vec has positional convolutions that fairseq's has not.
    """
    if kind == "hubert":  # of all of them the only one that can be without this norm
        return {} if flag(config, "feat_proj_layer_norm", True) else {"feat_proj_layer_norm": False}
    named = {"_name": MODELS[kind]}
    if kind == "wavlm":
        buckets, furthest = config.get("num_buckets", 320), config.get("max_bucket_distance", 800)
        gated = {"relative_position_embedding": True, "gru_rel_pos": True}
        return {**named, **gated, "num_buckets": buckets, "max_distance": furthest}
    if kind == "data2vec-audio":
        depth, kernel = config.get("num_conv_pos_embeddings", 5), config.get("conv_pos_kernel_size", 19)
        if not (type(depth) is type(kernel) is int and depth > 1 and kernel > 2):
            problem = f"num_conv_pos_embeddings is {depth!r}, and conv_pos_kernel_size {kernel!r}"
            raise DaisyError(problem, fix="Use a data2vec with several convolutions of kernel 3 or more")
        return {**named, "pos_conv_depth": depth, "conv_pos": depth * kernel, "layer_norm_first": False}
    return named


def _norm(config: Mapping[str, Any]) -> str:
    norm = config.get("feat_extract_norm", "group")
    if norm not in ("group", "layer"):
        problem = f"feat_extract_norm is {norm!r}, and only 'group' or 'layer' is known"
        raise DaisyError(problem, fix="Use another model")
    return str(norm)


def _convolutions(config: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    widths = config.get("conv_dim", [512] * 7)
    kernels = config.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
    strides = config.get("conv_stride", [5, 2, 2, 2, 2, 2, 2])
    counts = {len(widths), len(kernels), len(strides), config.get("num_feat_extract_layers", len(widths))}
    if len(counts) > 1:
        raise DaisyError(
            "conv_dim, conv_kernel, conv_stride and num_feat_extract_layers tell different numbers of convolutions",
            fix="Restore config.json from its source",
        )
    return list(zip(widths, kernels, strides, strict=True))


FORMAT = Format("transformers", _recognise, _read, _rename)
