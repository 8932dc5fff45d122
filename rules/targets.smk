"""Targets: drawn features of one layer are clustered, and every frame is labelled with its cluster."""

SHARDS = config["targets"]["shards"]
BATCH_SECONDS = config["upstream"]["batch_seconds"]


def targets(kind, layer, clusters):
    """Folder of the labels that branches are trained on; the stages before it are registered too."""
    drawn = {key: config["targets"][key] for key in ("utterances", "share")}
    reads = {"manifest": MANIFESTS["speech"], "hubert": CHECKPOINT}
    if kind == "head":
        return stored(
            "targets", "daisy.label", settings={"kind": kind, "layer": 0, "batch_seconds": BATCH_SECONDS}, **reads
        )
    shards = stored(
        f"shards-{SHARDS}",
        "daisy.dump",
        settings={"layer": layer, "seed": SEED, "batch_seconds": BATCH_SECONDS, **drawn},
        **reads,
    )
    centroids = stored(
        "kmeans", "daisy.kmeans", settings={"clusters": clusters, "seed": SEED, "layer": layer}, shards=shards
    )
    labels = {"kind": kind, "layer": layer, "batch_seconds": BATCH_SECONDS}
    return stored("targets", "daisy.label", settings=labels, centroids=centroids, **reads)


TARGETS = targets(**{key: config["targets"][key] for key in ("kind", "layer", "clusters")})


rule dump_features:
    input:
        corpus=corpus("speech"),
        manifest=of("manifest", "/train.tsv"),
        checkpoint=ancient(CHECKPOINT),
    output:
        expand(STORE + "/shards-{{nshard}}-{{key}}/train_{{rank}}_{{nshard}}.{ending}", ending=("npy", "len")),
    log:
        STORE + "/logs/dump_features-{key}-{rank}-{nshard}.log",
    benchmark:
        STORE + "/benchmarks/dump_features-{key}-{rank}-{nshard}.tsv"
    wildcard_constraints:
        rank=r"\d+",
        nshard=r"\d+",
    params:
        settings=stored_settings,
        code=stored_code,
        out=STORE + "/shards-{nshard}-{key}",
    shell:
        stage(
            "dump",
            "--manifest {input.manifest} --checkpoint {input.checkpoint:q} --rank {wildcards.rank} "
            "--nshard {wildcards.nshard} --out {params.out} --threads {threads}",
        )


rule kmeans:
    input:
        lambda wildcards: expand(
            store[wildcards.key].inputs["shards"] + "/train_{rank}_{nshard}.npy", rank=range(SHARDS), nshard=SHARDS
        ),
    output:
        STORE + "/kmeans-{key}/kmeans.npz",
    log:
        STORE + "/logs/kmeans-{key}.log",
    benchmark:
        STORE + "/benchmarks/kmeans-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("kmeans", "--shards {input} --out {output}")


rule labels:
    input:
        corpus=corpus("speech"),
        manifest=of("manifest", "/train.tsv"),
        checkpoint=ancient(CHECKPOINT),
        centroids=of("centroids", "/kmeans.npz"),
    output:
        labels=STORE + "/targets-{key}/train.km",
        dictionary=STORE + "/targets-{key}/dict.km.txt",
    log:
        STORE + "/logs/labels-{key}.log",
    benchmark:
        STORE + "/benchmarks/labels-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        centroids=lambda wildcards, input: f"--centroids {input.centroids}" if input.centroids else "",
    shell:
        stage(
            "label",
            "--manifest {input.manifest} --checkpoint {input.checkpoint:q} {params.centroids} "
            "--out {output.labels} --dictionary {output.dictionary} --threads {threads}",
        )
