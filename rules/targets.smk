"""Targets: drawn features of one layer are clustered, and every frame is labelled with its cluster."""

LABELS = RUN + "/targets/train.km"
SHARDS = config["targets"]["shards"]


rule dump_features:
    input:
        corpus=corpus("speech"),
        manifest=RUN + "/manifests/speech/train.tsv",
        checkpoint=CHECKPOINT,
    output:
        expand(RUN + "/targets/shards/train_{{rank}}_{nshard}.{ending}", nshard=SHARDS, ending=("npy", "len")),
    params:
        settings=settings(
            layer=config["targets"]["layer"],
            utterances=config["targets"]["utterances"],
            share=config["targets"]["share"],
            seed=SEED,
            batch_seconds=config["upstream"]["batch_seconds"],
        ),
        code=code_digest("daisy.dump"),
        nshard=SHARDS,
        out=RUN + "/targets/shards",
    log:
        RUN + "/logs/dump_features-{rank}.log",
    benchmark:
        RUN + "/benchmarks/dump_features-{rank}.tsv"
    wildcard_constraints:
        rank=r"\d+",
    shell:
        stage(
            "dump",
            "--manifest {input.manifest} --checkpoint {input.checkpoint} --rank {wildcards.rank} "
            "--nshard {params.nshard} --out {params.out} --threads {threads}",
        )


rule kmeans:
    input:
        expand(RUN + "/targets/shards/train_{rank}_{nshard}.npy", rank=range(SHARDS), nshard=SHARDS),
    output:
        RUN + "/targets/kmeans.npz",
    params:
        settings=settings(clusters=config["targets"]["clusters"], seed=SEED, layer=config["targets"]["layer"]),
        code=code_digest("daisy.kmeans"),
    log:
        RUN + "/logs/kmeans.log",
    benchmark:
        RUN + "/benchmarks/kmeans.tsv"
    threads: 2
    shell:
        stage("kmeans", "--shards {input} --out {output}")


rule labels:
    input:
        corpus=corpus("speech"),
        manifest=RUN + "/manifests/speech/train.tsv",
        checkpoint=CHECKPOINT,
        centroids=[RUN + "/targets/kmeans.npz"] if config["targets"]["kind"] == "kmeans" else [],
    output:
        labels=LABELS,
        dictionary=RUN + "/targets/dict.km.txt",
    params:
        settings=settings(
            kind=config["targets"]["kind"],
            layer=config["targets"]["layer"],
            batch_seconds=config["upstream"]["batch_seconds"],
        ),
        code=code_digest("daisy.label"),
        centroids=lambda wildcards, input: f"--centroids {input.centroids}" if input.centroids else "",
    log:
        RUN + "/logs/labels.log",
    benchmark:
        RUN + "/benchmarks/labels.tsv"
    threads: 2
    shell:
        stage(
            "label",
            "--manifest {input.manifest} --checkpoint {input.checkpoint} {params.centroids} "
            "--out {output.labels} --dictionary {output.dictionary} --threads {threads}",
        )
