"""Speak texts with eSpeak NG's library: a program of its own, so that what one says depends on nothing before.

Called with the library and its data; reads a JSON list of requests (`text`, `voice`, words per minute `rate`, `pitch`
from 0 to 100), and writes for each a line of JSON, then as many 16-bit samples as the line says. It needs Python alone.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS, PHONEME_EVENTS = 2, 1
END, PHONEME = 0, 7
RATE, PITCH = 1, 3
UTF8 = 1


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("phone", ctypes.c_char * 8),  # of a union that holds a pointer as well, and is as long
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Speaker:
    """The loaded library.

    Args:
        library: The shared library.
        data: The folder of its data.
    """

    def __init__(self, library: str, data: str) -> None:
        self._espeak = ctypes.CDLL(library)
        self.rate = self._espeak.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), PHONEME_EVENTS)
        self._samples = bytearray()
        self._phones: list[tuple[str, int]] = []
        self._callback = _CALLBACK(self._take)  # held, since the library keeps no reference that Python knows of
        self._espeak.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples += ctypes.string_at(samples, 2 * count)
        place = 0
        while events[place].type != END:
            if events[place].type == PHONEME:
                self._phones.append((events[place].phone.decode("utf-8", "replace"), events[place].sample))
            place += 1
        return 0

    def speak(self, text: str, voice: str, rate: int, pitch: int) -> tuple[dict[str, Any], bytes]:
        """What was said: `rate` in hertz, `samples`, `phones` with the sample where each begins; and the samples."""
        self._samples.clear()
        self._phones.clear()
        if self._espeak.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"eSpeak NG has no voice {voice}")
        self._espeak.espeak_SetParameter(RATE, rate, 0)
        self._espeak.espeak_SetParameter(PITCH, pitch, 0)
        encoded = text.encode() + b"\0"
        self._espeak.espeak_Synth(encoded, len(encoded), 0, 1, 0, UTF8, None, None)
        self._espeak.espeak_Synchronize()
        return {"rate": self.rate, "samples": len(self._samples) // 2, "phones": self._phones}, bytes(self._samples)


if __name__ == "__main__":
    speaker = Speaker(*sys.argv[1:])
    for request in json.load(sys.stdin):
        about, wave = speaker.speak(**request)
        sys.stdout.buffer.write(json.dumps(about).encode() + b"\n" + wave)
