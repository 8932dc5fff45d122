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


rule noise_states:
    input:
        audio=of("manifest", "audio"),
        manifest=of("manifest", "noisy.tsv"),
        checkpoint=ancient(flow.context.checkpoint),
    output:
        states=store_path("noise_states-{task}-{key}/states.npy"),
        frames=store_path("noise_states-{task}-{key}/frames.npy"),
    log:
        store_path("logs/noise_states-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_states-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        gpu=gpus(),
        disk_mb=lambda wildcards: flow.sizes.states(wildcards.key, wildcards.task),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "features.states",
            "--checkpoint {input.checkpoint:q} --manifest {input.manifest} --out {output.states} --threads {threads}",
        )


rule noise_entropies:
    input:
        audio=of("manifest", "audio"),
        manifest=of("manifest", "noisy.tsv"),
        upstream=of("upstream", "daisy.pt"),
    output:
        store_path("noise_entropies-{task}-{key}/entropies.npz"),
    log:
        store_path("logs/noise_entropies-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_entropies-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
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


rule noise_evaluation:
    input:
        manifest=of("recordings", "noisy.tsv"),
        conditions=of("recordings", "conditions.csv"),
        states=of("states", "states.npy"),
        entropies=of("entropies", "entropies.npz"),
        exits=of("exits", "exits.json"),
        downstream=of("downstream", "model.safetensors"),
        checkpoint=hubert,
    output:
        expand(store_path("noise_evaluation-{{task}}-{{method}}-{{key}}/{name}.csv"), name=NOISE_RESULTS),
    log:
        store_path("logs/noise_evaluation-{task}-{method}-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_evaluation-{task}-{method}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
    params:
        settings=stored_settings,
        code=stored_code,
        downstream=option("downstream"),
        states=option("states"),
        entropies=option("entropies"),
        checkpoint=option("checkpoint"),
        out=output_folder,
    shell:
        stage(
            "noise.evaluate",
            "--manifest {input.manifest} --conditions {input.conditions} {params.states} "
            "{params.entropies} --exits {input.exits} {params.downstream} {params.checkpoint} --out {params.out} --threads {threads}",
        )


if flow.noise.tasks:

    rule noise_tables:
        input:
            expand("{folder}/{name}.csv", folder=flow.noise.evaluations.values(), name=NOISE_RESULTS),
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
            studies=[f"--study {task} {folder}" for (task, _), folder in flow.noise.evaluations.items()],
            out=output_folder,
        shell:
            stage("noise.tables", "{params.studies} --out {params.out}")

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


if flow.noise.at_work:

    rule method_at_work:
        input:
            conditions=f"{flow.noise.recordings[flow.noise.at_work.task]}/conditions.csv",
            entropies=f"{flow.noise.measured[flow.noise.at_work.task]}/entropies.npz",
            exits=flow.noise.shown_exits,
        output:
            report(
                results("figures/method_at_work.png"),
                caption="captions/method_at_work.rst",
                category="Figures",
            ),
            results("figures/method_at_work.svg"),
        log:
            results("logs/method_at_work.log"),
        benchmark:
            results("benchmarks/method_at_work.tsv")
        conda:
            "../envs/daisy.yaml"
        params:
            settings=flow.noise.showing.settings,
            code=flow.noise.showing.code,
            out=output_folder,
        shell:
            stage(
                "report.at_work",
                "--conditions {input.conditions} --entropies {input.entropies} --exits {input.exits} --out {params.out}",
            )
