"""Exit branches: one linear classifier per layer, all trained from one forward pass of the frozen model."""


def branches(labels):
    """Folder of the model with branches that were trained on `labels`."""
    return stored(
        "branches",
        "daisy.train_branches",
        settings={"seed": SEED, **config["branches"]},
        manifest=MANIFESTS["speech"],
        labels=labels,
        hubert=CHECKPOINT,
    )


BRANCHES = branches(TARGETS)


rule branch_training:
    input:
        BRANCHES + "/daisy.pt",


rule branches:
    input:
        corpus=corpus("speech"),
        checkpoint=ancient(CHECKPOINT),
        manifest=of("manifest", "/train.tsv"),
        labels=of("labels", "/train.km"),
        dictionary=of("labels", "/dict.km.txt"),
    output:
        model=STORE + "/branches-{key}/daisy.pt",
        history=STORE + "/branches-{key}/history.csv",
    log:
        STORE + "/logs/branches-{key}.log",
    benchmark:
        STORE + "/benchmarks/branches-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        state=STORE + "/state/branches-{key}",
    shell:
        stage(
            "train_branches",
            "--checkpoint {input.checkpoint:q} --manifest {input.manifest} --labels {input.labels} "
            "--dictionary {input.dictionary} --state {params.state} --out {output.model} --history {output.history} "
            "--threads {threads}",
        )
