"""fairseq-hydra-train, able to resume: its checkpoints hold one class that torch loads only if told so.

Runs in fairseq's own environment (envs/fairseq.txt), never in the pipeline's.
"""

import torch
from fairseq.data.dictionary import Dictionary
from fairseq_cli.hydra_train import cli_main

if __name__ == "__main__":
    torch.serialization.add_safe_globals([Dictionary])
    cli_main()
