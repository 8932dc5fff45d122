"""A folder of recordings with their texts beside them, or without texts."""

from __future__ import annotations

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import ELSEWHERE, Entry, Folder, Found
from daisy.corpora.incoming.tables import transcripts

TEXTS = (".txt", ".lab", ".trans")


def read(folder: Folder) -> Found:
    """Every audio file is a recording."""
    found = Found("audio files")
    texts = transcripts(folder, found, TEXTS)
    found.layout = "audio files with texts beside them" if texts else "audio files without texts"
    found.entries = [Entry(path, "", texts.get(path, "")) for path in folder.audio]
    if texts:
        for path in folder.audio:
            if path not in texts:
                found.notes.add("recordings have no text", folder.inside(path))
    for path in folder.files:
        if path.suffix.lower() in ELSEWHERE:
            fix = "Convert the files to FLAC or WAV, or take them out of the folder"
            problem = f"{folder.inside(path)}: {path.suffix} is no format that can be read"
            found.faults.append(Fault("a format", folder.inside(path), problem, fix))
    return found
