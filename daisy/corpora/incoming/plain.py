"""A folder of recordings with their texts beside them, or without texts."""

from __future__ import annotations

import re

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import ELSEWHERE, Entry, Folder, Found
from daisy.corpora.incoming.tables import ENDINGS, UNREAD, transcripts

TEXTS = (".txt", ".lab", ".trans")

_TIMES = re.compile(r"\d+ \d+ ")


def read(folder: Folder) -> Found:
    """Every audio file is a recording."""
    found = Found("audio files")
    texts = transcripts(folder, found, TEXTS)
    if texts and all(_TIMES.match(text) for text in texts.values()):
        texts = {path: _TIMES.sub("", text) for path, text in texts.items()}
        found.notes.add("texts begin with a start and an end in samples, as TIMIT's do, and are taken without")
    found.layout = "audio files with texts beside them" if texts else "audio files without texts"
    found.entries = [Entry(path, "", texts.get(path, "")) for path in folder.audio]
    if texts:
        for path in folder.audio:
            if path not in texts:
                found.notes.add("recordings have no text", folder.inside(path))
    for path in folder.ending(*ENDINGS):
        found.notes.add("files tell of no recording, and are left out", folder.inside(path))
    for path in folder.ending(*UNREAD):
        found.notes.add("files may tell of recordings, and cannot be read", folder.inside(path))
    for path in folder.files:
        if path.suffix.lower() in ELSEWHERE:
            fix = "Convert the files to FLAC or WAV, or take them out of the folder"
            problem = f"{folder.inside(path)}: {path.suffix} is no format that can be read"
            found.faults.append(Fault("a format", folder.inside(path), problem, fix))
    return found
