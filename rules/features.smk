"""Features: a task's hidden states from the frozen model, and the branches' entropies, which calibrate its thresholds."""


rule states:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        checkpoint=reading,
        manifest=of("manifest", "{part}.tsv"),
    output:
        states=store_path("states-{task}-{part}-{key}/states.npy"),
        frames=store_path("states-{task}-{part}-{key}/frames.npy"),
    log:
        store_path("logs/states-{task}-{part}-{key}.log"),
    benchmark:
        store_path("benchmarks/states-{task}-{part}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
        disk_mb=lambda wildcards: flow.sizes.states(wildcards.key, wildcards.task, wildcards.part),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "features.states",
            "--checkpoint {input.checkpoint:q} --manifest {input.manifest} --out {output.states} --threads {threads}",
        )


rule entropies:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=of("upstream", "daisy.pt"),
        manifest=of("manifest", "{part}.tsv"),
    output:
        store_path("entropies-{task}-{part}-{key}/entropies.npz"),
    log:
        store_path("logs/entropies-{task}-{part}-{key}.log"),
    benchmark:
        store_path("benchmarks/entropies-{task}-{part}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "features.entropies",
            "--upstream {input.upstream} --manifest {input.manifest} --out {output} --threads {threads}",
        )


rule calibration:
    input:
        entropies=of("entropies", "entropies.npz"),
    output:
        store_path("calibration-{task}-{rho}-{key}/threshold.json"),
    log:
        store_path("logs/calibration-{task}-{rho}-{key}.log"),
    benchmark:
        store_path("benchmarks/calibration-{task}-{rho}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("features.calibrate", "--entropies {input.entropies} --out {output}")
