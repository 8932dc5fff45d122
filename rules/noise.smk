"""Noise study: a part of the test set under falling signal-to-noise ratio, its exits and its error rates."""


rule noisy_speech:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        manifest=of("manifest", "test.tsv"),
        noise=flow.corpora.table("noise"),
    output:
        directory(store_path("noisy-{task}-{key}/audio")),
        store_path("noisy-{task}-{key}/noisy.csv"),
        manifest=store_path("noisy-{task}-{key}/noisy.tsv"),
        conditions=store_path("noisy-{task}-{key}/conditions.csv"),
    log:
        store_path("logs/noisy-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noisy_speech-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=lambda wildcards: flow.sizes.noisy_speech(wildcards.task),
    params:
        settings=stored_settings,
        code=stored_code,
        out=output_folder,
    shell:
        stage("noise.noisy", "--manifest {input.manifest} --noise {input.noise} --out {params.out}")


rule noise_features:
    input:
        audio=of("manifest", "audio"),
        manifest=of("manifest", "noisy.tsv"),
        upstream=of("upstream", "daisy.pt"),
    output:
        states=store_path("noise_features-{task}-{key}/states.npy"),
        entropies=store_path("noise_features-{task}-{key}/states.npz"),
    log:
        store_path("logs/noise_features-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_features-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        disk_mb=lambda wildcards: flow.sizes.states(wildcards.key, wildcards.task),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "features.states",
            "--upstream {input.upstream} --manifest {input.manifest} --out {output.states} --threads {threads}",
        )


rule noise_evaluation:
    input:
        manifest=lambda wildcards: f"{flow.noise.recordings[wildcards.task]}/noisy.tsv",
        conditions=lambda wildcards: f"{flow.noise.recordings[wildcards.task]}/conditions.csv",
        features=lambda wildcards: f"{flow.noise.features[wildcards.task]}/states.npy",
        entropies=lambda wildcards: f"{flow.noise.features[wildcards.task]}/states.npz",
        exits=results(f"downstream/{{task}}/seed{flow.context.first_seed}/{{method}}/exits.json"),
        downstream=lambda wildcards: flow.noise.downstream(wildcards.task, wildcards.method),
        upstream=lambda wildcards: flow.noise.streams(wildcards.task),
    output:
        expand(results("noise/{{task}}/{{method}}/{name}.csv"), name=NOISE_RESULTS),
    log:
        results("logs/noise_evaluation-{task}-{method}.log"),
    benchmark:
        results("benchmarks/noise_evaluation-{task}-{method}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: flow.noise.evaluation(wildcards.task, method(wildcards)).settings,
        code=lambda wildcards: flow.noise.evaluation(wildcards.task, method(wildcards)).code,
        downstream=option("downstream"),
        upstream=option("upstream"),
        out=output_folder,
    shell:
        stage(
            "noise.evaluate",
            "--manifest {input.manifest} --conditions {input.conditions} --features {input.features} "
            "--exits {input.exits} {params.downstream} {params.upstream} --out {params.out} --threads {threads}",
        )


if flow.noise.tasks:

    rule noise_tables:
        input:
            expand("{folder}/{name}.csv", folder=flow.noise.folders, name=NOISE_RESULTS),
        output:
            flow.noise.tables,
        log:
            results("logs/noise_tables.log"),
        benchmark:
            results("benchmarks/noise_tables.tsv")
        conda:
            "../envs/daisy.yaml"
        params:
            settings=flow.noise.gathering.settings,
            code=flow.noise.gathering.code,
            folders=flow.noise.folders,
            out=output_folder,
        shell:
            stage("noise.tables", "--folders {params.folders} --out {params.out}")

    rule noise_figures:
        input:
            flow.noise.tables,
            # It tells how many layers there are.
            results("tables/entropy.csv"),
        output:
            [
                report(
                    results(f"figures/{name}.png"),
                    caption=f"captions/{name}.rst",
                    category="Figures",
                )
                for name in flow.noise.figures
            ],
            expand(results("figures/{name}.svg"), name=flow.noise.figures),
        log:
            results("logs/noise_figures.log"),
        benchmark:
            results("benchmarks/noise_figures.tsv")
        conda:
            "../envs/daisy.yaml"
        params:
            settings=flow.noise.drawing.settings,
            code=flow.noise.drawing.code,
            tables=folder("tables"),
            out=output_folder,
        shell:
            stage("report.noise_figures", "--tables {params.tables} --out {params.out}")
