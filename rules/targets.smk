"""Targets: drawn features of one layer are clustered, and every frame is labelled with its cluster."""

LABELS = RUN + "/targets/train.km"
SHARDS = config["targets"]["shards"]


def dump_settings(layer):
    targets = config["targets"]
    return settings(
        layer=layer,
        utterances=targets["utterances"],
        share=targets["share"],
        seed=SEED,
        batch_seconds=config["upstream"]["batch_seconds"],
    )


def label_settings(targets):
    return settings(
        kind=targets["kind"],
        layer=targets.get("layer", 0),
        batch_seconds=config["upstream"]["batch_seconds"],
    )


def centroids_option(wildcards, input):
    return f"--centroids {input.centroids}" if input.centroids else ""


rule dump_features:
    input:
        corpus=corpus("speech"),
        manifest=RUN + "/manifests/speech/train.tsv",
        checkpoint=CHECKPOINT,
    output:
        expand(RUN + "/targets/shards/train_{{rank}}_{nshard}.{ending}", nshard=SHARDS, ending=("npy", "len")),
    log:
        RUN + "/logs/dump_features-{rank}.log",
    benchmark:
        RUN + "/benchmarks/dump_features-{rank}.tsv"
    wildcard_constraints:
        rank=r"\d+",
    params:
        settings=dump_settings(config["targets"]["layer"]),
        code=code_digest("daisy.dump"),
        nshard=SHARDS,
        out=RUN + "/targets/shards",
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
    log:
        RUN + "/logs/kmeans.log",
    benchmark:
        RUN + "/benchmarks/kmeans.tsv"
    threads: 2
    params:
        settings=settings(clusters=config["targets"]["clusters"], seed=SEED, layer=config["targets"]["layer"]),
        code=code_digest("daisy.kmeans"),
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
    log:
        RUN + "/logs/labels.log",
    benchmark:
        RUN + "/benchmarks/labels.tsv"
    threads: 2
    params:
        settings=label_settings(config["targets"]),
        code=code_digest("daisy.label"),
        centroids=centroids_option,
    shell:
        stage(
            "label",
            "--manifest {input.manifest} --checkpoint {input.checkpoint} {params.centroids} "
            "--out {output.labels} --dictionary {output.dictionary} --threads {threads}",
        )
