"""Prepare the embedded corpus: real recorded speech and music from Debian packages, as 16 kHz FLAC.

Professional telephone prompts (Asterisk core sounds), letters, syllables and words spoken for two
children's programs (KLettres, KTuberling), and five pieces of music. A folder stands for a speaker.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import soundfile
import torch

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE, write
from daisy.common.files import write_csv
from daisy.common.progress import Progress
from daisy.common.torchaudio_shim import torchaudio
from daisy.corpora import debian
from daisy.corpora.settings import EmbeddedSettings
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError

SPEECH = {
    "asterisk-core-sounds-en-g722": "usr/share/asterisk/sounds/en_US_f_Allison",
    "asterisk-core-sounds-es-g722": "usr/share/asterisk/sounds/es_MX_f_Allison",
    "asterisk-core-sounds-fr-g722": "usr/share/asterisk/sounds/fr_CA_f_June",
    "asterisk-core-sounds-it-g722": "usr/share/asterisk/sounds/it_IT_m_Carlo",
    "asterisk-core-sounds-ru-g722": "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU",
    "klettres-data": "usr/share/klettres",
    "ktuberling-data": "usr/share/ktuberling/sounds",
}
"""Debian packages of speech, and where their recordings lie."""

MUSIC = {"asterisk-moh-opsound-wav": "usr/share/asterisk/moh"}
"""Debian packages of music."""

SHORTEST = 0.3
"""Seconds. A shorter recording is a click, or a fraction of a word."""

QUIETEST = -50.0
"""Root mean square level in dB relative to full scale under which a recording is taken for silence."""

_TONES = re.compile(r"/(beep|beeperr|ascending-2tone|descending-2tone|tt-monkeys)\.[^/]*$")
"""Prompts that are no speech: tones, and a recording of monkeys."""


@dataclasses.dataclass(frozen=True)
class _Source:
    file: Path
    inside: Path
    speaker: str
    package: str

    @property
    def kind(self) -> str:
        """What a table says of the recording: ``music``, or nothing of speech."""
        return "music" if self.package in MUSIC else ""

    @property
    def id(self) -> str:
        """The speaker, and the path with all that is unusual in a file name replaced."""
        return f"{self.speaker}/{re.sub('[^A-Za-z0-9-]+', '_', str(self.inside.with_suffix('')))}"


def speaker_of(package: str, inside: Path) -> str:
    """The speaker of a recording, by its package and its path inside the package's folder.

    The English and the Spanish prompts were spoken by the same person, Allison Smith, and count as one
    speaker. In the other packages a folder, which is a language, is one speaker; a few hold two voices.
    """
    if package.startswith("asterisk"):
        return {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}[package.split("-")[3]]
    return f"{package.split('-')[0]}-{inside.parts[0].replace('@', '-')}"


def find(root: Path, packages: Sequence[str]) -> list[_Source]:
    """All recordings of `packages` under the unpacked `root`, in a fixed order."""
    sources = []
    for package in packages:
        folder = root / {**SPEECH, **MUSIC}[package]
        files = [file for file in folder.rglob("*") if file.suffix in (".g722", ".ogg", ".opus", ".wav")]
        if not files:
            raise DaisyError(f"no recordings of {package}", file=folder, fix="Delete the cache folder and run again")
        for file in files:
            music = package in MUSIC
            speaker = f"music-{file.stem}" if music else speaker_of(package, file.relative_to(folder))
            sources.append(_Source(file, file.relative_to(folder.parent), speaker, package))
    return sorted(sources, key=lambda item: str(item.file))


def decode(file: Path) -> np.ndarray:
    """Decode a recording to (samples,) float32 at 16 kHz, mono.

    Raw G.722 goes through FFmpeg's library; Vorbis, Opus and WAV through libsndfile, which also reads the
    old Vorbis files that FFmpeg refuses.
    """
    if file.suffix == ".g722":
        with av.open(str(file), format="g722") as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(frames).astype(np.float32) / 32768 if frames else np.zeros(0, np.float32)
    wave, rate = soundfile.read(str(file), dtype="float32", always_2d=True)
    mono = torch.from_numpy(wave.mean(axis=1))
    return torchaudio.functional.resample(mono, rate, SAMPLE_RATE).numpy()


def fault(source: _Source, wave: np.ndarray) -> str | None:
    """Why a decoded recording is of no use, or None."""
    if "/silence/" in str(source.file):
        return "silence"
    if _TONES.search(str(source.file)):
        return "no speech"
    if len(wave) < SHORTEST * SAMPLE_RATE:
        return f"shorter than {SHORTEST} s"
    if 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-12) < QUIETEST:
        return f"quieter than {QUIETEST:.0f} dB"
    return None


def _prepare(source: _Source) -> tuple[np.ndarray | None, str | None]:
    try:
        wave = decode(source.file)
    except (av.FFmpegError, soundfile.LibsndfileError, ValueError) as error:
        return None, f"cannot be decoded: {error}"
    return wave, fault(source, wave)


def prepare(sources: Sequence[_Source], audio: Path) -> Iterator[tuple[_Source, int, str | None]]:
    """Decode `sources` and write the usable ones under `audio`; yield length and fault of each."""
    seen: dict[bytes, str] = {}
    progress = Progress("embedded speech", len(sources), "recordings")
    with ThreadPoolExecutor(2) as pool:
        for source, (wave, reason) in zip(sources, pool.map(_prepare, sources), strict=True):
            if wave is not None and reason is None:
                digest = hashlib.sha256(wave.tobytes()).digest()
                if digest in seen:
                    reason = f"the same recording as {seen[digest]}"
                else:
                    seen[digest] = source.id
                    write(audio / f"{source.id}.flac", wave)
            progress.add()
            yield source, 0 if wave is None else len(wave), reason


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--debian", type=Path, required=True, help="folder for downloaded packages")
    parser.add_argument("--audio", type=Path, required=True, help="output: folder of FLAC files")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings")
    parser.add_argument("--dropped", type=Path, required=True, help="output: table of those left out, and why")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EmbeddedSettings, arguments.settings)
    stage.use_threads(1)
    packages = settings.packages or (*SPEECH, *MUSIC)
    root = debian.fetch(packages, arguments.debian)
    kept: list[Recording] = []
    dropped: list[dict[str, str]] = []
    for source, samples, reason in prepare(find(root, packages), arguments.audio):
        if reason is None:
            kept.append(Recording(source.id, samples, source.speaker, source=source.package, kind=source.kind))
        else:
            dropped.append({"id": source.id, "reason": reason})
    write_csv(arguments.dropped, ("id", "reason"), dropped)
    write_table(arguments.table, kept)
    minutes = sum(item.samples for item in kept) / SAMPLE_RATE / 60
    reasons = collections.Counter(re.sub("(as|decoded:) .*", r"\1 …", item["reason"]) for item in dropped)
    print(f"embedded speech: {len(kept)} recordings, {minutes:.1f} minutes, {len(dropped)} dropped")
    for reason, count in reasons.most_common():
        print(f"  dropped: {count} ({reason})")


if __name__ == "__main__":
    stage.run(main)
