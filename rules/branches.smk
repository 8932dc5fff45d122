"""Exit branches: one linear classifier per layer, all trained from one forward pass of the frozen model."""


rule branch_training:
    input:
        flow.upstream.file,
        # With these `daisy check` looks at it, and `daisy clean-store` keeps it.
        results("config.yaml"),
        results("store.csv"),


rule branches:
    input:
        corpus=flow.corpora.table("speech"),
        checkpoint=ancient(flow.context.checkpoint),
        manifest=of("manifest", "train.tsv"),
        labels=of("labels", "train.km"),
        dictionary=of("labels", "dict.km.txt"),
    output:
        upstream=store_path("branches-{key}/daisy.pt"),
        history=store_path("branches-{key}/history.csv"),
    log:
        store_path("logs/branches-{key}.log"),
    benchmark:
        store_path("benchmarks/branches-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=stored_settings,
        code=stored_code,
        state=store_path("state/branches-{key}"),
        curves=store_path("tensorboard/branches-{key}"),
    shell:
        training(
            "branches.train",
            "--checkpoint {input.checkpoint:q} --manifest {input.manifest} --labels {input.labels} "
            "--dictionary {input.dictionary} --state {params.state} --curves {params.curves} "
            "--out {output.upstream} --history {output.history} --threads {threads}",
        )
