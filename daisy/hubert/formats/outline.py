"""What a file says of its tensors, without the tensors and without torch: names, shapes, configuration.

The Snakefile reads checkpoints so while it parses, and `daisy.load` before it asks torch for the weights: a file that
does not pass here is never given to torch's unpickler. A pickle is run on an allow-list: torch's tensors become
`Outline`, the names of `daisy.hubert.formats.inert` its stand-ins, and any other name ends the reading. Nothing of a
file is imported or called, and what it takes of memory grows with the file's size alone.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import io
import json
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from daisy.errors import DaisyError
from daisy.hubert.formats.checks import damaged
from daisy.hubert.formats.inert import NAMES, Inert

_LONGEST = 256_000_000
"""Bytes of a header or of a pickle without its tensors, at most; HuBERT's have some ten thousand."""

_RATIO = 20
"""How many times its own size a file unpacks to, at most; torch does not compress."""

_REPEATED = 8
"""How many times its stored elements a file's tensors may show, since they can share and repeat them."""

_STORAGES = {
    **{"DoubleStorage": ("float64", 8), "FloatStorage": ("float32", 4), "HalfStorage": ("float16", 2)},
    **{"BFloat16Storage": ("bfloat16", 2), "LongStorage": ("int64", 8), "IntStorage": ("int32", 4)},
    **{"ShortStorage": ("int16", 2), "CharStorage": ("int8", 1), "ByteStorage": ("uint8", 1)},
    **{"BoolStorage": ("bool", 1), "ComplexDoubleStorage": ("complex128", 16), "ComplexFloatStorage": ("complex64", 8)},
    **{"UntypedStorage": ("bytes", 1), "QInt8Storage": ("qint8", 1), "QUInt8Storage": ("quint8", 1)},
    **{"QInt32Storage": ("qint32", 4), "QUInt4x2Storage": ("quint4x2", 1), "QUInt2x4Storage": ("quint2x4", 1)},
}
"""What an element is and its bytes, by torch's name of the storage."""

_SAFETENSORS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex"}
"""How torch's names of elements begin, by how safetensors' begin."""

_KIND = re.compile(r"(bool|q?u?int\d+|float\d+|bfloat16|complex\d+)\w*")
"""How torch's kinds of elements are called."""

_LEGACY = 0x1950A86A20F9469CFC6C
"""What a torch file from before the zip format begins with, as an integer in a pickle of its own."""


@dataclasses.dataclass(frozen=True)
class Outline:
    """A tensor that was not read.

    Attributes:
        shape: Its shape.
        kind: What its elements are, by torch's name, or ``sparse`` if not all are stored.
    """

    shape: tuple[int, ...]
    kind: str

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)


@dataclasses.dataclass(frozen=True)
class _Kind:
    """torch's name of what elements are."""

    name: str


@dataclasses.dataclass(frozen=True)
class _Storage:
    """The bytes that tensors share."""

    key: str
    elements: int
    kind: str
    size: int


def safetensors_outline(path: Path) -> tuple[dict[str, Outline], dict[str, str]]:
    """The tensors and the metadata that a safetensors file's header names.

    Raises:
        DaisyError: if it is damaged or of another kind.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _LONGEST):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        outlines = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= size - 8 - length:
                raise ValueError(f"the file ends before {name}")
            kind = re.sub("^[A-Z]+", lambda letters: _SAFETENSORS.get(letters[0], letters[0]), entry["dtype"]).lower()
            outlines[name] = Outline(tuple(int(length) for length in entry["shape"]), kind)
        return outlines, {str(key): str(value) for key, value in metadata.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise damaged(path, error) from None


def torch_outline(path: Path) -> Any:
    """All that a torch file holds, with an `Outline` for every tensor.

    Raises:
        DaisyError: if it is damaged, or names anything but tensors, plain types and the known stand-ins.
    """
    try:
        if zipfile.is_zipfile(path):
            return _of_zip(path)
        with open(path, "rb") as file:
            return _of_legacy(file, path.stat().st_size)
    except _NotAllowed as error:
        raise DaisyError(
            f"refused: {error}",
            file=path,
            fix="Do not use this file; where you trust it, save the model's state_dict and configuration alone",
        ) from None
    except DaisyError:
        raise
    except Exception as error:  # a pickle can go wrong in as many ways as there are operations
        raise damaged(path, error) from None


def _of_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as file:
        entry = next(info for info in file.infolist() if info.filename.endswith("data.pkl"))
        if entry.file_size > _LONGEST:
            raise ValueError("its pickle is too long")
        folder = entry.filename.removesuffix("data.pkl")
        sizes = {info.filename: info.file_size for info in file.infolist()}
        if sum(sizes.values()) > _RATIO * path.stat().st_size:
            raise ValueError("it unpacks to far more than its size")
        unpickler = _Unpickler(io.BytesIO(file.read(entry)))
        content = unpickler.whole()
    for storage in unpickler.storages.values():
        if sizes.get(f"{folder}data/{storage.key}") != storage.elements * storage.size:
            raise ValueError(f"the storage {storage.key} is not as long as the file says")
    return content


def _of_legacy(file: BinaryIO, size: int) -> Any:
    """The object of a file from before torch's zip format, or of a plain pickle."""
    first = _Unpickler(file).load()
    if first != _LEGACY:
        return first
    for _ in range(2):  # the protocol's version and the machine's byte order
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content = unpickler.whole()
    if sum(storage.elements * storage.size for storage in unpickler.storages.values()) > size:
        raise ValueError("its tensors are longer than the file")
    return content


class _NotAllowed(Exception):
    """What is wrong with a name that no list has."""


class _Rebuilt:
    """Stands for one of torch's functions that make a tensor of a storage."""

    def __init__(self, of: Callable[..., Any]) -> None:
        self.of = of


def _shape(storage: Any, offset: Any, size: Any, stride: Any) -> tuple[int, ...]:
    """A tensor's shape, which lies in its storage.

    Raises:
        ValueError: if it does not.
    """
    shape, steps = tuple(size), tuple(stride)
    numbers = (offset, *shape, *steps)
    if not isinstance(storage, _Storage) or any(type(value) is not int or value < 0 for value in numbers):
        raise ValueError("a tensor without a shape or a storage")
    if len(shape) != len(steps) or len(shape) > 16:
        raise ValueError("a tensor whose shape and strides differ")
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    if math.prod(shape) and last >= storage.elements:
        raise ValueError("a tensor beyond its storage")
    return shape


def _sparse(_: Any, data: Any) -> Outline:
    """A tensor of which indices and values are stored, or rows, columns and values, and then its size."""
    size = next(value for value in data if not isinstance(value, Outline))
    shape = tuple(size.arguments[0] if isinstance(size, Inert) else size)
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("a tensor without a shape")
    return Outline(shape, "sparse")


_OPERATIONS = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "FROZENSET", "ADDITEMS"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("GLOBAL", "STACK_GLOBAL", "BINPERSID"),
)
"""The operations of pickle that run as they are; three more are replaced, and the rest are refused."""


def _code(operation: str) -> int:
    code: bytes = getattr(pickle, operation)
    return code[0]


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler in Python, less all that could call or change anything but plain data."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self.shown, self.program = 0, False
        self._rebuilt: dict[str, Callable[..., Any]] = {
            **{f"torch._utils._rebuild_tensor{version}": self._tensor for version in ("", "_v2", "_v3")},
            "torch._utils._rebuild_qtensor": self._tensor,
            "torch._utils._rebuild_sparse_tensor": _sparse,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
            "torch._tensor._rebuild_from_type_v2": lambda made, _, arguments, state: made.of(*arguments),
        }

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Outline:
        # For kinds without a storage of their own, a further argument tells which.
        told = next((value.name for value in rest if isinstance(value, _Kind)), None)
        made = Outline(_shape(storage, offset, size, stride), told or storage.kind)
        self.shown += math.prod(made.shape)
        return made

    def whole(self) -> Any:
        """What the pickle holds.

        Raises:
            ValueError: if its tensors show far more than they store.
        """
        content = self.load()
        if self.shown > _REPEATED * sum(storage.elements for storage in self.storages.values()) + 1000:
            raise ValueError("its tensors show far more than they store")
        return content

    def find_class(self, module: str, name: str) -> Any:
        """What stands in for a name."""
        full = f"{_NEWER.get(module, module)}.{_NEWER.get(name, name)}"
        if full in self._rebuilt:
            return _Rebuilt(self._rebuilt[full])
        if full == "collections.OrderedDict":
            return collections.OrderedDict
        if full == "argparse.Namespace":
            return argparse.Namespace
        if full.startswith("torch.") and name.endswith("Storage"):
            return name
        if module == "torch" and _KIND.fullmatch(name):
            return _Kind(name)
        self.program = self.program or module.startswith("torch.nn.modules.")
        # torch's own unpickler, which comes next, knows which of torch's names are harmless.
        if full in NAMES or module.split(".")[0] == "torch":
            return Inert
        if self.program:
            raise _NotAllowed(f"it is a whole model with its classes, as torch.save(model) writes it ({full})")
        raise _NotAllowed(f"it wants to load {full}, which is no part of a model")

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a tensor lies in."""
        mark, kind, key, _, elements = pid[:5]
        if mark != "storage" or kind not in _STORAGES or type(elements) is not int or elements < 0:
            raise ValueError("an unknown kind of storage")
        self.storages[str(key)] = storage = _Storage(str(key), elements, *_STORAGES[kind])
        return storage

    def _reduce(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        arguments = stack.pop()
        stack[-1] = _made(stack[-1], arguments)

    def _newobj(self) -> None:
        self._reduce()

    def _build(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        state = stack.pop()
        made = stack[-1]
        if isinstance(made, Inert):
            made.__setstate__(state)
        elif isinstance(made, argparse.Namespace):
            vars(made).update({str(key): value for key, value in dict(state).items()})
        elif not isinstance(made, (collections.OrderedDict, Outline)):  # whose attributes nobody needs
            raise ValueError(f"a state for {type(made).__name__}")

    dispatch = cast(
        "Any",
        {
            **{_code(name): pickle._Unpickler.dispatch[_code(name)] for name in _OPERATIONS},
            **{_code("REDUCE"): _reduce, _code("NEWOBJ"): _newobj, _code("BUILD"): _build},
        },
    )


_NEWER = {"__builtin__": "builtins", "long": "int", "unicode": "str"}
"""Python 2's names, which protocol 2 writes."""


def _made(what: Any, arguments: Any) -> Any:
    """What a call of `what` stands for."""
    if isinstance(what, _Rebuilt):
        return what.of(*arguments)
    if what is Inert:
        return Inert(*arguments)
    if what is collections.OrderedDict or what is argparse.Namespace:
        return what(*arguments)
    raise ValueError(f"a call of {type(what).__name__}")
