"""Targets: drawn features of one layer are clustered, and every frame is labelled with its cluster."""

SHARDS = flow.config.targets.shards


rule dump_features:
    input:
        corpus=flow.corpora.table("speech"),
        manifest=of("manifest", "train.tsv"),
        checkpoint=ancient(flow.context.checkpoint),
    output:
        expand(store_path("shards-{{nshard}}-{{key}}/train_{{rank}}_{{nshard}}.{ending}"), ending=("npy", "len")),
    log:
        store_path("logs/dump_features-{key}-{rank}-{nshard}.log"),
    benchmark:
        store_path("benchmarks/dump_features-{key}-{rank}-{nshard}.tsv")
    wildcard_constraints:
        rank=r"\d+",
        nshard=r"\d+",
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
        disk_mb=lambda wildcards: flow.sizes.drawn(),
    params:
        settings=stored_settings,
        code=stored_code,
        out=output_folder,
    shell:
        stage(
            "targets.dump",
            "--manifest {input.manifest} --checkpoint {input.checkpoint:q} --rank {wildcards.rank} "
            "--nshard {wildcards.nshard} --out {params.out} --threads {threads}",
        )


rule kmeans:
    input:
        lambda wildcards: [
            file for rank in range(SHARDS) for file in of("shards", f"train_{rank}_{SHARDS}.npy")(wildcards)
        ],
    output:
        store_path("kmeans-{key}/kmeans.npz"),
    log:
        store_path("logs/kmeans-{key}.log"),
    benchmark:
        store_path("benchmarks/kmeans-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        # A bound, not a setting: nothing is computed again when it changes.
        frames_gib=flow.config.targets.memory_gib,
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("targets.kmeans", "--shards {input} --memory-gib {resources.frames_gib} --out {output}")


rule labels:
    input:
        corpus=flow.corpora.table("speech"),
        manifest=of("manifest", "train.tsv"),
        checkpoint=ancient(flow.context.checkpoint),
        centroids=of("centroids", "kmeans.npz"),
    output:
        store_path("labels-{nshard}-{key}/train_{rank}_{nshard}.km"),
    log:
        store_path("logs/labels-{key}-{rank}-{nshard}.log"),
    benchmark:
        store_path("benchmarks/labels-{key}-{rank}-{nshard}.tsv")
    wildcard_constraints:
        rank=r"\d+",
        nshard=r"\d+",
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
        disk_mb=lambda wildcards: flow.sizes.labels(SHARDS),
    params:
        settings=stored_settings,
        code=stored_code,
        centroids=option("centroids"),
    shell:
        stage(
            "targets.label",
            "--manifest {input.manifest} --checkpoint {input.checkpoint:q} {params.centroids} "
            "--rank {wildcards.rank} --nshard {wildcards.nshard} --out {output} --threads {threads}",
        )


rule targets:
    input:
        manifest=of("manifest", "train.tsv"),
        checkpoint=ancient(flow.context.checkpoint),
        labels=lambda wildcards: [
            file for rank in range(SHARDS) for file in of("labels", f"train_{rank}_{SHARDS}.km")(wildcards)
        ],
    output:
        labels=store_path("targets-{key}/train.km"),
        dictionary=store_path("targets-{key}/dict.km.txt"),
    log:
        store_path("logs/targets-{key}.log"),
    benchmark:
        store_path("benchmarks/targets-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=lambda wildcards: flow.sizes.labels(1),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "targets.join",
            "--manifest {input.manifest} --checkpoint {input.checkpoint:q} --labels {input.labels} "
            "--out {output.labels} --dictionary {output.dictionary}",
        )
