"""Features: a task's recordings run through the frozen model once; their entropies calibrate its thresholds."""


rule features:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=of("upstream", "daisy.pt"),
        manifest=of("manifest", "{part}.tsv"),
        like=lambda wildcards: flow.upstream.same_states(wildcards.key, wildcards.task, wildcards.part),
    output:
        states=store_path("features-{task}-{part}-{key}/states.npy"),
        entropies=store_path("features-{task}-{part}-{key}/states.npz"),
    log:
        store_path("logs/features-{task}-{part}-{key}.log"),
    benchmark:
        store_path("benchmarks/features-{task}-{part}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=lambda wildcards: flow.sizes.states(wildcards.key, wildcards.task, wildcards.part),
    params:
        settings=stored_settings,
        code=stored_code,
        like=option("like"),
    shell:
        stage(
            "features.states",
            "--upstream {input.upstream} --manifest {input.manifest} {params.like} --out {output.states} "
            "--threads {threads}",
        )


rule calibration:
    input:
        features=lambda wildcards: models(wildcards).upstream.states(wildcards.task, "train"),
        entropies=lambda wildcards: models(wildcards).upstream.entropies(wildcards.task, "train"),
    output:
        results("calibration/{task}/{rho}.json"),
    log:
        results("logs/calibration-{task}-{rho}.log"),
    benchmark:
        results("benchmarks/calibration-{task}-{rho}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: models(wildcards).calibration(wildcards.task, flow.rho(wildcards.rho)).settings,
        code=lambda wildcards: models(wildcards).calibration(wildcards.task, flow.rho(wildcards.rho)).code,
    shell:
        stage("features.calibrate", "--features {input.features} --out {output}")
