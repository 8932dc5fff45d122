"""Exit branches: one linear classifier per layer, all trained from one forward pass of the frozen model."""

BRANCH_SETTINGS = settings(seed=SEED, **config["branches"])


rule branches:
    input:
        corpus=corpus("speech"),
        checkpoint=CHECKPOINT,
        manifest=RUN + "/manifests/speech/train.tsv",
        labels=LABELS,
        dictionary=RUN + "/targets/dict.km.txt",
    output:
        model=RUN + "/branches/daisy.pt",
        history=RUN + "/branches/history.csv",
    log:
        RUN + "/logs/branches.log",
    benchmark:
        RUN + "/benchmarks/branches.tsv"
    threads: 2
    params:
        settings=BRANCH_SETTINGS,
        code=code_digest("daisy.train_branches"),
        state=state("branches", BRANCH_SETTINGS, code_digest("daisy.train_branches")),
    shell:
        stage(
            "train_branches",
            "--checkpoint {input.checkpoint} --manifest {input.manifest} --labels {input.labels} "
            "--dictionary {input.dictionary} --state {params.state} --out {output.model} --history {output.history} "
            "--threads {threads}",
        )
