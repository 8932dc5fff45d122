"""Write the command corpus with phones in place of words, for phoneme recognition; its audio becomes a link."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.corpora.lexicon import first_pronunciations, phones_of
from daisy.corpora.links import link_roots
from daisy.corpora.settings import PhonesSettings
from daisy.corpora.table import read_table, write_table

LINK = "commands"

PRONUNCIATIONS = """
alarm    ah0 l aa1 r m
anna     ae1 n ah0
at       ae1 t
bedroom  b eh1 d r uw2 m
call     k ao1 l
check    ch eh1 k
close    k l ow1 z
david    d ey1 v ih0 d
door     d ao1 r
eight    ey1 t
five     f ay1 v
for      f ao1 r
four     f ao1 r
friday   f r ay1 d ey2
garden   g aa1 r d ah0 n
gate     g ey1 t
heater   hh iy1 t er0
kitchen  k ih1 ch ah0 n
lamp     l ae1 m p
light    l ay1 t
lock     l aa1 k
maria    m er0 iy1 ah0
monday   m ah1 n d ey2
now      n aw1
off      ao1 f
office   ao1 f ah0 s
on       aa1 n
one      w ah1 n
open     ow1 p ah0 n
peter    p iy1 t er0
please   p l iy1 z
radio    r ey1 d iy0 ow2
remind   r iy0 m ay1 n d
set      s eh1 t
seven    s eh1 v ah0 n
six      s ih1 k s
the      dh ah0
three    th r iy1
to       t uw1
today    t ah0 d ey1
tomorrow t ah0 m aa1 r ow2
turn     t er1 n
two      t uw1
window   w ih1 n d ow0
"""
"""The words of `daisy.corpora.grammar`, in the phones of LibriSpeech's lexicon; written for this project."""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="table of the command corpus; audio/ lies beside it")
    parser.add_argument("--table", type=Path, required=True, help="output: the table; audio/ beside it becomes a link")
    arguments = parser.parse_args(argv)
    stage.settings(PhonesSettings, arguments.settings)
    lexicon = first_pronunciations(PRONUNCIATIONS.splitlines())
    recordings = [
        dataclasses.replace(item, text=phones_of(item.text, lexicon), file=f"{LINK}/{item.path}")
        for item in read_table(arguments.corpus)
    ]
    link_roots(arguments.table.parent / "audio", {LINK: arguments.corpus.parent / "audio"})
    write_table(arguments.table, recordings)
    phones = {phone for item in recordings for phone in item.text.split()}
    print(f"command phones: {len(recordings)} recordings, {len(phones)} phones")


if __name__ == "__main__":
    stage.run(main)
